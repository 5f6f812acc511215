package bench

import (
	"context"
	"flag"
	"io"
	"time"

	"github.com/pontoon-kv/pontoon/bench/overload"
)

func overloadCommand() Command {
	var o overload.Options
	var format output
	var bin binaries
	var steps steps
	var alone bool
	fs := flag.NewFlagSet("overload", flag.ContinueOnError)
	bin.register(fs)
	fs.BoolVar(&alone, "alone", false, "leave etcd out")
	fs.IntVar(&o.Nodes, "nodes", 3, "nodes of a cluster")
	fs.Float64Var(&o.CPU, "cpu", 0.2, "cores that a node may use")
	fs.DurationVar(&o.Period, "period", 10*time.Millisecond, "time over which they are counted")
	fs.StringVar(&o.Cgroup, "cgroup", "", "directory of the group to make groups in (default: found)")
	fs.IntVar(&o.Clients, "clients", 512, "concurrent requests of the peak")
	fs.Float64Var(&o.Times, "times", 4, "offered load, as times of the peak")
	fs.DurationVar(&o.Deadline, "deadline", time.Second, "time in which an answer is useful")
	fs.DurationVar(&o.Cell, "cell", 10*time.Second, "measured time of each phase")
	fs.DurationVar(&o.Warmup, "warmup", 4*time.Second, "time before it")
	fs.IntVar(&o.Connections, "connections", 48, "connections, spread over the nodes")
	fs.IntVar(&o.Ranges, "ranges", 16, "ranges of the keys")
	fs.IntVar(&o.Keys, "keys", 8192, "keys")
	fs.IntVar(&o.ValueSize, "value-size", 256, "bytes of a value")
	fs.DurationVar(&o.LeaseTTL, "lease-ttl", 5*time.Second, "of a lease that is kept alive meanwhile")
	fs.Float64Var(&o.MinGoodput, "min-goodput", 0, "fail if a smaller share of the peak is useful, or a lease or a leader is lost; 0: never")
	fs.Int64Var(&o.MaxResident, "max-resident", 0, "fail if a node takes more bytes of memory; 0: never")
	fs.Var((*list)(&o.Args), "args", "more arguments of Pontoon's nodes, separated by commas")
	fs.StringVar(&o.Dir, "dir", "", "directory of data and logs (default: temporary)")
	steps.register(fs)
	format.register(fs)
	return Command{
		Name: "overload", Short: "Measure what is still useful when far more is asked than can be done, beside etcd", Flags: fs,
		Long: "Caps the CPU of every node with cgroups, finds the peak of puts with closed-loop clients, then offers a multiple of\n" +
			"it, whatever becomes of what was sent, and counts what is answered in time. Needs Linux and the right to make cgroups.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Pontoon, o.Progress, o.Logger = bin.pontoon, ProgressBar(progress), steps.logger(progress)
			if o.Etcd = bin.etcd; alone {
				o.Etcd = ""
			}
			return report(ctx, &format, out, progress, overload.Run, o)
		},
	}
}
