package bench

import (
	"context"
	"flag"
	"io"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/robust"
)

func robustCommand() Command {
	var o robust.Options
	var format output
	var bin binaries
	var against string
	var steps steps
	fs := flag.NewFlagSet("robust", flag.ContinueOnError)
	bin.register(fs)
	fs.StringVar(&against, "system", string(cluster.Pontoon), "system to test, pontoon or etcd")
	fs.DurationVar(&o.Duration, "duration", time.Minute, "length of the load")
	fs.DurationVar(&o.Round, "round", 20*time.Second, "length of the load between two verdicts")
	fs.DurationVar(&o.FaultEvery, "fault-every", 4*time.Second, "mean time between faults; negative: none")
	fs.Uint64Var(&o.Seed, "seed", 0, "seed of the run (default: from the clock, printed)")
	fs.Var((*mode)(&o.Mode), "mode", "what happens meanwhile: crash, net (links are cut), elastic (nodes join, die and leave), soak (nodes restart in turn and must stay level) or all (crash, net, and disks fail)")
	fs.IntVar(&o.Objects, "objects", 300, "objects of the Kubernetes-shaped load, in modes elastic and soak")
	fs.StringVar(&o.Samples, "samples", "", "directory for plots of memory, goroutines, open files and disk of the nodes")
	fs.IntVar(&o.Nodes, "nodes", 3, "nodes of the cluster")
	fs.IntVar(&o.Clients, "clients", 6, "concurrent clients")
	fs.Float64Var(&o.Rate, "rate", 150, "requests per second over all clients")
	fs.IntVar(&o.Keys, "keys", 16, "keys they share")
	fs.IntVar(&o.Ranges, "ranges", 8, "ranges that the keys are split into")
	fs.StringVar(&o.Dir, "dir", "", "directory of data, logs and failed histories (default: temporary, kept on failure)")
	steps.register(fs)
	format.register(fs)
	return Command{
		Name: "robust", Short: "Kill and restart nodes under load and prove the answers right", Flags: fs,
		Long: "Starts a cluster, runs clients, watches and leases through different nodes while nodes are killed, paused,\n" +
			"stopped and restarted, and checks the recorded history: linearizability, revisions, watches, leases.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Kind, o.Binary = cluster.Kind(against), bin.pontoon
			if o.Kind == cluster.Etcd {
				o.Binary = bin.etcd
			}
			o.Logger = steps.logger(progress)
			return report(ctx, &format, out, progress, robust.Run, o)
		},
	}
}

// mode is the flag of a kind of run.
type mode robust.Mode

func (m *mode) String() string { return string(*m) }

func (m *mode) Set(s string) error {
	*m = mode(s)
	return nil
}
