package bench

import (
	"context"
	"flag"
	"io"
	"time"

	"github.com/pontoon-kv/pontoon/bench/scaleout"
)

func scaleoutCommand() Command {
	var o scaleout.Options
	var format output
	var bin binaries
	var steps steps
	var alone bool
	fs := flag.NewFlagSet("scaleout", flag.ContinueOnError)
	bin.register(fs)
	o.PontoonNodes, o.EtcdNodes = []int{3, 6, 9, 12}, []int{3, 5, 7}
	fs.Var((*counts)(&o.PontoonNodes), "nodes", "sizes of Pontoon's clusters")
	fs.Var((*counts)(&o.EtcdNodes), "etcd-nodes", "sizes of etcd's clusters")
	fs.BoolVar(&alone, "alone", false, "leave etcd out")
	fs.IntVar(&o.Rounds, "rounds", 1, "rounds of all sizes")
	fs.Float64Var(&o.CPU, "cpu", 0.15, "cores that a node may use")
	fs.DurationVar(&o.Period, "period", 10*time.Millisecond, "time over which they are counted")
	fs.Int64Var(&o.WriteBytes, "write-bytes", 0, "bytes that a node may write each second (cgroups of version 2); 0: not capped")
	fs.StringVar(&o.Cgroup, "cgroup", "", "directory of the group to make groups in (default: found)")
	fs.DurationVar(&o.Idle, "idle", 3*time.Second, "time in which nobody asks anything, measured before")
	fs.DurationVar(&o.Cell, "cell", 8*time.Second, "measured time per cluster")
	fs.DurationVar(&o.Warmup, "warmup", 4*time.Second, "time before it")
	fs.IntVar(&o.Clients, "clients", 1536, "concurrent requests, at every size")
	fs.IntVar(&o.Connections, "connections", 72, "connections, spread over the nodes")
	fs.IntVar(&o.Ranges, "ranges", 36, "ranges of the keys")
	fs.IntVar(&o.Keys, "keys", 8192, "keys")
	fs.IntVar(&o.ValueSize, "value-size", 256, "bytes of a value")
	fs.IntVar(&o.From, "from", 3, "with --to: the sizes whose ratio is reported")
	fs.IntVar(&o.To, "to", 9, "see --from")
	fs.Float64Var(&o.MinRatio, "min-ratio", 0, "fail if that ratio is smaller; 0: never")
	fs.StringVar(&o.Profiles, "profiles", "", "directory for CPU profiles of Pontoon's nodes")
	fs.StringVar(&o.Dir, "dir", "", "directory of data and logs (default: temporary)")
	steps.register(fs)
	format.register(fs)
	return Command{
		Name: "scaleout", Short: "Measure how put throughput grows with the nodes, each capped, beside etcd", Flags: fs,
		Long: "Starts clusters of growing size, one at a time, caps the CPU of every node with cgroups so that it stands for a\n" +
			"machine of its own, and puts from clients that are not capped. Needs Linux and the right to make cgroups (root, or\n" +
			"a delegated group with --cgroup).",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Pontoon, o.Progress, o.Logger = bin.pontoon, ProgressBar(progress), steps.logger(progress)
			if o.Etcd = bin.etcd; alone {
				o.Etcd = ""
			}
			return report(ctx, &format, out, progress, scaleout.Run, o)
		},
	}
}
