package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/kubeload"
)

// demoOptions of `pontoon demo`.
type demoOptions struct {
	objects int
	ranges  int
	nodes   int
	outage  time.Duration
	keep    bool
	elastic bool
	dir     string // of data and logs; empty: a temporary one
}

func newDemo() *cobra.Command {
	o := demoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start three nodes on this machine, split, load, kill one, verify everything; --elastic: grow, heal, shrink",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.elastic && !cmd.Flags().Changed("ranges") {
				o.ranges = elasticRanges
			}
			if o.objects < 1 || o.ranges < 2 || o.nodes < 3 {
				return errors.New("--objects must be at least 1, --ranges 2 and --nodes 3")
			}
			if o.elastic {
				return runElasticDemo(cmd.Context(), cmd.OutOrStdout(), o)
			}
			return runDemo(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	cmd.Flags().IntVar(&o.objects, "objects", 20_000, "Kubernetes-shaped objects to load")
	cmd.Flags().IntVar(&o.ranges, "ranges", 8, fmt.Sprintf("ranges to split the keys into; %d with --elastic", elasticRanges))
	cmd.Flags().IntVar(&o.nodes, "nodes", 3, "nodes to start; 3 with --elastic")
	cmd.Flags().DurationVar(&o.outage, "outage", 10*time.Second, "how long the killed node stays away under load")
	cmd.Flags().BoolVar(&o.keep, "keep", false, "leave the cluster running until interrupted")
	cmd.Flags().BoolVar(&o.elastic, "elastic", false, "show under load how a cluster grows to five nodes, loses one for good, and gives one back")
	return cmd
}

// elasticRanges gives five nodes enough leaders to even out.
const elasticRanges = 32

// demo is one showing.
type demo struct {
	demoOptions
	out     io.Writer
	cluster *cluster.Cluster
	load    *kubeload.Loader
	bar     *bar
	watch   *demoWatch
	started time.Time
}

func runDemo(ctx context.Context, out io.Writer, o demoOptions) error {
	d := &demo{demoOptions: o, out: out, started: time.Now()}
	defer d.close()
	err := d.play(ctx, []step{
		{fmt.Sprintf("start %d nodes", o.nodes), d.start},
		{fmt.Sprintf("split the keys into %d ranges", o.ranges), d.split},
		{fmt.Sprintf("load %d Kubernetes-shaped objects through the official client", o.objects), d.fill},
		{"the ranges now", d.show},
		{"kill a node under load, with a watch over all ranges open", d.outageUnderLoad},
		{"verify every object", d.verify},
	})
	if err != nil {
		return err
	}
	d.summary()
	if o.keep {
		d.stay(ctx)
	}
	return nil
}

// step is one part of a showing.
type step struct {
	title string
	run   func(context.Context) error
}

func (d *demo) play(ctx context.Context, steps []step) error {
	for _, s := range steps {
		fmt.Fprintf(d.out, "\n== %s\n", s.title)
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

func (d *demo) close() {
	if d.watch != nil {
		d.watch.close()
	}
	if d.load != nil {
		d.load.Close()
	}
	if d.cluster != nil {
		d.cluster.Close()
	}
}

func (d *demo) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	d.cluster, err = cluster.Start(ctx, cluster.Options{Kind: cluster.Pontoon, Binary: self, Nodes: d.nodes, Dir: d.dir})
	if err != nil {
		return err
	}
	for _, n := range d.cluster.Nodes() {
		fmt.Fprintf(d.out, "   %s serves etcd clients on %s (pid %d)\n", n.Name, n.Endpoint, n.Pid())
	}
	return nil
}

func (d *demo) split(ctx context.Context) error {
	return d.cluster.Split(ctx, kubeload.SplitKeys("/registry", d.objects, d.ranges)...)
}

func (d *demo) fill(ctx context.Context) error {
	d.bar = newBar(d.out)
	load, err := kubeload.New(kubeload.Options{
		Endpoints: d.cluster.Endpoints(), Objects: d.objects, Rate: 300, Progress: d.bar.update,
	})
	if err != nil {
		return err
	}
	d.load = load
	if err := load.Load(ctx); err != nil {
		return err
	}
	if err := load.Watch(ctx); err != nil {
		return err
	}
	d.bar.finish()
	return load.Report().Err()
}

func (d *demo) show(ctx context.Context) error {
	ranges, err := d.cluster.Ranges(ctx)
	if err != nil {
		return err
	}
	leaders := map[string]bool{}
	rows := make([][]any, len(ranges))
	for i, r := range ranges {
		leaders[r.Leader] = true
		rows[i] = []any{r.ID, r.Start, r.End, r.LeaderName, liveText(r.LiveKeys), sizeText(r.SizeBytes)}
	}
	fmt.Fprintf(d.out, "   %d ranges, leaders on %d nodes\n", len(ranges), len(leaders))
	return table(d.out, "ID\tSTART\tEND\tLEADER\tKEYS\tSIZE", rows)
}

// outageUnderLoad kills the node that leads the root range, the worst one to
// lose, while objects change and a watch over all ranges is open.
func (d *demo) outageUnderLoad(ctx context.Context) error {
	victim, err := d.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	survivors := slices.DeleteFunc(d.cluster.Endpoints(), func(e string) bool { return e == victim.Endpoint })
	if d.watch, err = openDemoWatch(ctx, survivors, "/registry/"); err != nil {
		return err
	}
	churned := make(chan error, 1)
	go func() { churned <- d.load.Churn(ctx, d.outage) }()
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	before := d.watch.events.Load()
	killed := time.Now()
	if err := victim.Kill(); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   killed %s, the leader of the root range (SIGKILL); %d watch events so far\n", victim.Name, before)
	if err := d.watch.waitBeyond(ctx, d.watch.last.Load()); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   writes and the watch go on after %d ms\n", time.Since(killed).Milliseconds())
	err = <-churned
	d.bar.finish()
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   %d more watch events while it was away, revisions in order\n", d.watch.events.Load()-before)
	if err := victim.Restart(ctx); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   %s is back\n", victim.Name)
	return d.watch.err()
}

func (d *demo) verify(ctx context.Context) error {
	err := d.load.Verify(ctx)
	d.bar.finish()
	if err != nil {
		return err
	}
	return errors.Join(d.load.Report().Err(), d.watch.err())
}

func (d *demo) summary() {
	fmt.Fprintf(d.out, "\n== done in %.0f s: every object is as its last acknowledged write left it\n", time.Since(d.started).Seconds())
	d.load.Report().WriteText(d.out)
}

func (d *demo) stay(ctx context.Context) {
	fmt.Fprintf(d.out, "\nThe cluster stays up. Endpoints: %v\nTry: etcdctl --endpoints=%s endpoint status --cluster -w table\nInterrupt to stop it.\n",
		d.cluster.Endpoints(), d.cluster.Endpoints()[0])
	<-ctx.Done()
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
