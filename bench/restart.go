package bench

import (
	"context"
	"flag"
	"io"
	"time"

	"github.com/pontoon-kv/pontoon/bench/restart"
)

func restartCommand() Command {
	var o restart.Options
	var format output
	var bin binaries
	var steps steps
	var alone bool
	fs := flag.NewFlagSet("restart", flag.ContinueOnError)
	bin.register(fs)
	fs.BoolVar(&alone, "alone", false, "leave etcd out")
	fs.IntVar(&o.Nodes, "nodes", 3, "nodes of each cluster")
	fs.IntVar(&o.Keys, "keys", 1_000_000, "keys to fill in before")
	fs.IntVar(&o.ValueSize, "value-size", 64, "bytes of a value")
	fs.IntVar(&o.Ranges, "ranges", 16, "ranges of Pontoon before it splits by itself")
	fs.IntVar(&o.Restarts, "restarts", 3, "restarts of each system")
	fs.IntVar(&o.Txn, "txn", 100, "keys in one transaction of the fill")
	fs.IntVar(&o.Writers, "writers", 16, "transactions in flight")
	fs.DurationVar(&o.FillLimit, "fill-limit", 30*time.Minute, "longest time to fill one system")
	fs.DurationVar(&o.ServeLimit, "serve-limit", 5*time.Minute, "longest time until a start serves")
	fs.DurationVar(&o.Rest, "rest", 10*time.Second, "rest before a kill, and before the second look at memory")
	fs.Float64Var(&o.MaxTime, "max-time", 0, "fail if the time to the first read is more than so many times etcd's; 0: never")
	fs.Float64Var(&o.MaxMemory, "max-memory", 0, "the same of memory")
	fs.StringVar(&o.Dir, "dir", "", "directory of data and logs (default: temporary)")
	steps.register(fs)
	format.register(fs)
	return Command{
		Name: "restart", Short: "Measure how long a cluster of many keys needs to serve after a kill of all nodes, beside etcd", Flags: fs,
		Long: "Fills a cluster, kills all its processes at once and starts them again: time until the first linearizable read of\n" +
			"a key, memory then. One system after the other, several restarts each.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Pontoon, o.Progress, o.Logger = bin.pontoon, ProgressBar(progress), steps.logger(progress)
			if o.Etcd = bin.etcd; alone {
				o.Etcd = ""
			}
			return report(ctx, &format, out, progress, restart.Run, o)
		},
	}
}
