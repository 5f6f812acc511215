package bench

import (
	"context"
	"flag"
	"io"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/freshness"
	"github.com/pontoon-kv/pontoon/bench/sidebyside"
)

func compareCommand() Command {
	var o sidebyside.Options
	var format output
	var bin binaries
	clients := counts{64, 512}
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	bin.register(fs)
	fs.IntVar(&o.Rounds, "rounds", 3, "interleaved rounds")
	fs.DurationVar(&o.Cell, "cell", 5*time.Second, "measured time of each operation and number of clients")
	fs.DurationVar(&o.Warmup, "warmup", time.Second, "time before it that does not count")
	fs.Var(&clients, "clients", "numbers of concurrent requests")
	fs.IntVar(&o.Connections, "connections", 48, "connections, spread over the nodes")
	fs.IntVar(&o.Nodes, "nodes", 3, "nodes of each cluster")
	fs.IntVar(&o.Ranges, "ranges", 16, "ranges that Pontoon's keys are split into")
	fs.IntVar(&o.Keys, "keys", 4096, "keys")
	fs.IntVar(&o.ValueSize, "value-size", 256, "bytes of a value")
	fs.Float64Var(&o.Floor, "floor", 0, "fail if a median throughput ratio is below this")
	fs.StringVar(&o.Dir, "dir", "", "directory of data and logs (default: temporary)")
	format.register(fs)
	return Command{
		Name: "compare", Short: "Measure throughput and latency beside real etcd", Flags: fs,
		Long: "Starts clusters of Pontoon and of etcd on this machine, one at a time in turn, and measures puts and linearizable\n" +
			"gets with the official client.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Clients, o.Progress = clients, ProgressBar(progress)
			o.Subject = sidebyside.System{Kind: cluster.Pontoon, Binary: bin.pontoon}
			o.Baseline = sidebyside.System{Kind: cluster.Etcd, Binary: bin.etcd}
			return report(ctx, &format, out, progress, sidebyside.Run, o)
		},
	}
}

func progressCommand() Command {
	var o freshness.Options
	var format output
	var bin binaries
	fs := flag.NewFlagSet("progress", flag.ContinueOnError)
	bin.register(fs)
	fs.IntVar(&o.Nodes, "nodes", 3, "nodes of each cluster")
	fs.IntVar(&o.Ranges, "ranges", 8, "ranges of the watched prefix")
	fs.IntVar(&o.Samples, "samples", 400, "samples of each measurement")
	fs.Float64Var(&o.Rate, "rate", 100, "puts per second of each writer")
	fs.DurationVar(&o.MaxProgress, "max-progress", 0, "fail if progress takes longer at p99; 0: never")
	fs.DurationVar(&o.MaxCrossing, "max-crossing", 0, "fail if a watch over all ranges is slower by more at p99; 0: never")
	fs.StringVar(&o.Dir, "dir", "", "directory of data and logs (default: temporary)")
	format.register(fs)
	return Command{
		Name: "progress", Short: "Measure how long consistent lists and watches wait, beside real etcd", Flags: fs,
		Long: "Reads an absent key and waits for progress of a prefix watch at the read's revision, as every consistent list of\n" +
			"Kubernetes does, and times watches over one and over all ranges.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Progress = ProgressBar(progress)
			o.Systems = []sidebyside.System{{Kind: cluster.Pontoon, Binary: bin.pontoon}, {Kind: cluster.Etcd, Binary: bin.etcd}}
			return report(ctx, &format, out, progress, freshness.Run, o)
		},
	}
}
