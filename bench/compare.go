package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/freshness"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/suite"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

func compareCommand() Command {
	var o suite.Options
	var format output
	var bin binaries
	var floor float64
	shape := workload.Shape{Clients: []int{64, 512}}
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	bin.register(fs)
	fs.IntVar(&o.Rounds, "rounds", 3, "interleaved rounds")
	fs.DurationVar(&o.Window, "cell", 5*time.Second, "measured time of each operation and number of clients")
	fs.DurationVar(&o.Warmup, "warmup", time.Second, "time before it that does not count")
	fs.Var((*counts)(&shape.Clients), "clients", "numbers of concurrent requests")
	fs.IntVar(&o.Connections, "connections", 48, "connections, spread over the nodes")
	fs.IntVar(&shape.Nodes, "nodes", 3, "nodes of each cluster")
	fs.IntVar(&shape.Ranges, "ranges", 16, "ranges that Pontoon's keys are split into")
	fs.IntVar(&shape.Keys, "keys", 4096, "keys")
	fs.IntVar(&shape.ValueSize, "value-size", 256, "bytes of a value")
	fs.Float64Var(&floor, "floor", 0, "fail if a median throughput ratio is below this")
	fs.StringVar(&o.Dir, "dir", "", "directory of data and logs (default: temporary)")
	format.register(fs)
	return Command{
		Name: "compare", Short: "Measure puts and gets beside real etcd", Flags: fs,
		Long: "Starts clusters of Pontoon and of etcd on this machine, one at a time in turn, and measures puts and linearizable\n" +
			"gets with the official client. `pontoon bench run` measures everything else too.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			group, err := workload.PutsAndGets(shape)
			if err != nil {
				return fmt.Errorf("compare: %w", err)
			}
			o.Groups, o.Progress = []workload.Group{group}, ProgressBar(progress)
			bin.fill(&o)
			return report(ctx, &format, out, progress, func(ctx context.Context, out io.Writer, o suite.Options) (*Comparison, error) {
				return compare(ctx, out, o, floor)
			}, o)
		},
	}
}

// Comparison is a run of puts and gets.
type Comparison struct{ *result.Run }

// compare runs the suite; a failed sample or a ratio below the floor is an error.
func compare(ctx context.Context, out io.Writer, o suite.Options, floor float64) (*Comparison, error) {
	run, err := suite.Run(ctx, out, o)
	if run == nil {
		return nil, err
	}
	c := &Comparison{run}
	errs := []error{err}
	for _, f := range run.Failures() {
		errs = append(errs, errors.New(f))
	}
	for _, cell := range run.Cells() {
		if ratio := cell.Ratio(result.Throughput); err == nil && ratio.Median < floor {
			errs = append(errs, fmt.Errorf("%s: %.2f times %s, at least %.2f wanted", cell.Workload, ratio.Median, run.Baseline.Name, floor))
		}
	}
	return c, errors.Join(errs...)
}

// WriteText prints the medians.
func (c *Comparison) WriteText(w io.Writer) {
	fmt.Fprintf(w, "median over %d rounds, %s relative to %s\n", c.Settings.Rounds, c.Subject.Name, c.Baseline.Name)
	for _, cell := range c.Cells() {
		ratio := func(m result.Metric) float64 { return cell.Ratio(m).Median }
		fmt.Fprintf(w, "  %-20s throughput %.2f, p50 %.2f, p99 %.2f, server CPU per request %.2f\n", cell.Workload,
			ratio(result.Throughput), ratio(result.P50), ratio(result.P99), ratio(result.CPU))
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
			o.Show = ProgressBar(progress)
			o.Systems = []cluster.System{{Kind: cluster.Pontoon, Binary: bin.pontoon}, {Kind: cluster.Etcd, Binary: bin.etcd}}
			return report(ctx, &format, out, progress, freshness.Run, o)
		},
	}
}
