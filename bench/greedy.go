package bench

import (
	"context"
	"flag"
	"io"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/bench/greedy"
)

func greedyCommand() Command {
	var o greedy.Options
	var format output
	var bin binaries
	var steps steps
	fs := flag.NewFlagSet("greedy", flag.ContinueOnError)
	bin.registerPontoon(fs)
	fs.Var((*list)(&o.Scenarios), "scenarios", "those to run, separated by commas, of "+strings.Join(greedy.Names(), ", ")+" (default: all)")
	fs.IntVar(&o.Nodes, "nodes", 3, "nodes of a cluster")
	fs.Float64Var(&o.CPU, "cpu", 0.5, "cores that a node may use")
	fs.DurationVar(&o.Period, "period", 10*time.Millisecond, "time over which they are counted")
	fs.Int64Var(&o.Memory, "memory", 1<<30, "bytes of memory that a node may take")
	fs.StringVar(&o.Cgroup, "cgroup", "", "directory of the group to make groups in (default: found)")
	fs.DurationVar(&o.Cell, "cell", 15*time.Second, "time of each phase: alone, and beside greedy clients")
	fs.IntVar(&o.Ranges, "ranges", 8, "ranges of the keys")
	fs.IntVar(&o.Bystanders, "bystanders", 8, "clients that ask little")
	fs.Float64Var(&o.Rate, "rate", 100, "requests that all bystanders ask a second")
	fs.DurationVar(&o.Limit, "limit", 10*time.Second, "time in which a bystander must be answered")
	fs.DurationVar(&o.LeaseTTL, "lease-ttl", 5*time.Second, "of a lease that is kept alive meanwhile")
	fs.IntVar(&o.HotClients, "hot-clients", 512, "clients that put to one range")
	fs.IntVar(&o.Lists, "lists", 64, "long lists under way at a time")
	fs.Int64Var(&o.ListBytes, "list-bytes", 32<<20, "bytes of such a list")
	fs.IntVar(&o.SlowWatchers, "slow-watchers", 64, "watches that nobody reads")
	fs.IntVar(&o.Watchers, "watchers", 10_000, "watches of one prefix")
	fs.Int64Var(&o.InFlight, "in-flight", 100<<20, "bytes of large puts under way at a time")
	fs.DurationVar(&o.MaxP99, "max-p99", 2*time.Second, "fail if p99 of the bystanders takes longer beside greedy clients")
	fs.Float64Var(&o.MaxRefused, "max-refused", 0.01, "fail if a larger share of the bystanders' requests is refused")
	fs.Var((*list)(&o.Args), "args", "more arguments of the nodes, separated by commas")
	fs.StringVar(&o.Dir, "dir", "", "directory of data and logs (default: temporary)")
	steps.register(fs)
	format.register(fs)
	return Command{
		Name: "greedy", Short: "Measure whether a greedy client starves the others or takes all memory of a node", Flags: fs,
		Long: "Caps CPU and memory of every node with cgroups and measures a few modest clients, alone and then beside clients\n" +
			"that ask for far more than their share, in several ways. Fails if a modest client fails, is refused often or waits\n" +
			"long, if a lease is lost or a node ends. Needs Linux and the right to make cgroups.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Pontoon, o.Progress, o.Logger = bin.pontoon, ProgressBar(progress), steps.logger(progress)
			return report(ctx, &format, out, progress, greedy.Run, o)
		},
	}
}
