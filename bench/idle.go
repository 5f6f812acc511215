package bench

import (
	"context"
	"flag"
	"io"
	"time"

	"github.com/pontoon-kv/pontoon/bench/idle"
)

func idleCommand() Command {
	var o idle.Options
	var format output
	var bin binaries
	var steps steps
	fs := flag.NewFlagSet("idle", flag.ContinueOnError)
	bin.register(fs)
	fs.IntVar(&o.Nodes, "nodes", 3, "nodes of the cluster")
	fs.IntVar(&o.Ranges, "ranges", 10_000, "ranges to split the keyspace into")
	fs.IntVar(&o.Splits, "splits", 48, "splits in flight at a time")
	fs.DurationVar(&o.Window, "window", time.Minute, "time over which CPU is measured, after half as much of rest")
	fs.DurationVar(&o.Settle, "settle", 2*time.Minute, "longest wait until the ranges sleep")
	fs.Float64Var(&o.MaxCPUPercent, "max-cpu", 5, "fail if a process uses more percent of one core; 0: never")
	fs.Int64Var(&o.MaxReplicaBytes, "max-replica-bytes", 20<<10, "fail if a replica takes more memory; 0: never")
	fs.DurationVar(&o.MaxRestart, "max-restart", 15*time.Second, "fail if a restart of all nodes takes longer; 0: never")
	fs.StringVar(&o.Dir, "dir", "", "directory of data and logs (default: temporary)")
	steps.register(fs)
	format.register(fs)
	return Command{
		Name: "idle", Short: "Measure what many idle ranges cost", Flags: fs,
		Long: "Starts a cluster, splits its keyspace into many ranges, waits until they sleep and measures CPU and memory of\n" +
			"each process, then how long a restart of all of them takes until ranges all over the keyspace serve.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Binary, o.Progress = bin.pontoon, ProgressBar(progress)
			o.Logger = steps.logger(progress)
			return report(ctx, &format, out, progress, idle.Run, o)
		},
	}
}
