package bench

import (
	"context"
	"flag"
	"io"
	"time"

	"github.com/pontoon-kv/pontoon/bench/gaps"
)

func gapsCommand() Command {
	var o gaps.Options
	var format output
	var bin binaries
	var steps steps
	fs := flag.NewFlagSet("gaps", flag.ContinueOnError)
	bin.register(fs)
	fs.IntVar(&o.Nodes, "nodes", 3, "nodes of the cluster")
	fs.IntVar(&o.Tries, "tries", 20, "tries of each scenario")
	fs.DurationVar(&o.Every, "every", 10*time.Millisecond, "time between two writes of a range")
	fs.DurationVar(&o.MaxLeaderKill, "max-leader-kill", 2*time.Second, "fail if a range cannot be written to for longer after its leader is killed; 0: never")
	fs.DurationVar(&o.MaxSequencerKill, "max-sequencer-kill", time.Second, "the same for the node of the sequencer")
	fs.DurationVar(&o.MaxRestart, "max-restart", 200*time.Millisecond, "the same for a clean restart, in which no request may fail either")
	fs.Uint64Var(&o.Seed, "seed", 1, "seed of what is chosen")
	fs.StringVar(&o.Dir, "dir", "", "directory of data and logs (default: temporary)")
	steps.register(fs)
	format.register(fs)
	return Command{
		Name: "gaps", Short: "Measure how long a client cannot write while nodes are killed or restarted", Flags: fs,
		Long: "Starts a cluster, writes every 10 ms with the official client, and kills the leader of a range, kills the node of\n" +
			"the sequencer, restarts each node in turn. Prints the longest time without a write, median and worst.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Binary, o.Progress = bin.pontoon, ProgressBar(progress)
			o.Logger = steps.logger(progress)
			return report(ctx, &format, out, progress, gaps.Run, o)
		},
	}
}
