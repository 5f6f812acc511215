package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Limits of the steps of the elastic demo. evenWithin is promised at demo size.
const (
	elasticStart  = 3
	elasticGrown  = 5
	elasticFull   = 3   // replicas of a range
	evenSpread    = 1.3 // most over least, of leaders and of replicas
	evenWithin    = time.Minute
	evenBytes     = 1.5 // of bytes: an estimate of an engine that compacts
	equalWithin   = 30 * time.Second
	rebuildWithin = 3 * time.Minute
	drainWithin   = 3 * time.Minute
	endWithin     = 20 * time.Second
	boardPoll     = time.Second
)

// elasticSettings make the demo quick and its ranges stay as many as they are.
var elasticSettings = []string{
	"dead_after_seconds=8s", "range_merge_bytes=off", fmt.Sprintf("root_replication_factor=%d", elasticFull),
}

// elasticDemo is one showing of a cluster that grows, heals and shrinks.
type elasticDemo struct {
	demo
	churning context.CancelFunc // ends the load
	churned  chan struct{}
}

func runElasticDemo(ctx context.Context, out io.Writer, o demoOptions) (err error) {
	dir, err := os.MkdirTemp("", "pontoon-demo-")
	if err != nil {
		return err
	}
	o.dir, o.nodes = dir, elasticStart
	d := &elasticDemo{demo: demo{demoOptions: o, out: out, started: time.Now()}, churning: func() {}, churned: make(chan struct{})}
	defer func() {
		d.churning()
		d.close()
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(out, "\nData and logs of the nodes are kept in %s\n", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	err = d.play(ctx, []step{
		{fmt.Sprintf("start %d nodes", elasticStart), d.start},
		{fmt.Sprintf("split the keys into %d ranges, load %d Kubernetes-shaped objects", o.ranges, o.objects), d.prepare},
		{fmt.Sprintf("under load, grow to %d nodes: leaders, replicas and bytes even out", elasticGrown), d.grow},
		{"kill a node for good: its replicas are rebuilt", d.loseOne},
		{"drain a node and remove it", d.drainOne},
		{"verify every object", d.verifyAll},
	})
	if err == nil {
		d.summary()
		if o.keep {
			d.stay(ctx)
		}
	}
	return err
}

// admin runs a request against any node that runs.
func (d *elasticDemo) admin(ctx context.Context, fn func(context.Context, pontoonpb.AdminClient) error) error {
	f := adminFlags{timeout: 10 * time.Second}
	for _, n := range d.cluster.Nodes() {
		if n.Running() {
			f.endpoints = append(f.endpoints, n.Endpoint)
		}
	}
	return f.call(ctx, fn)
}

func (d *elasticDemo) prepare(ctx context.Context) error {
	if err := d.set(ctx, elasticSettings...); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   settings: %v\n", elasticSettings)
	if err := d.split(ctx); err != nil {
		return err
	}
	if err := d.fill(ctx); err != nil {
		return err
	}
	watch, err := openDemoWatch(ctx, d.cluster.Endpoints(), "/registry/")
	if err != nil {
		return err
	}
	d.watch = watch
	churning, stop := context.WithCancel(ctx)
	d.churning = stop
	go func() {
		defer close(d.churned)
		d.load.ChurnUntil(churning)
	}()
	return nil
}

func (d *elasticDemo) set(ctx context.Context, settings ...string) error {
	req, err := settingsRequest(settings)
	if err != nil {
		return err
	}
	return d.admin(ctx, func(ctx context.Context, c pontoonpb.AdminClient) error {
		_, err := c.PlacementSettings(ctx, req)
		return err
	})
}

// until shows the board until it is as it should be; reason says what is wrong
// with it, empty when nothing is.
func (d *elasticDemo) until(ctx context.Context, limit time.Duration, reason func(*board) string) error {
	view := boardView{out: d.out, terminal: isTerminal(d.out)}
	began := time.Now()
	why := ""
	for {
		var b board
		err := d.admin(ctx, func(ctx context.Context, c pontoonpb.AdminClient) (err error) {
			b, err = lookAt(ctx, c, elasticFull)
			return err
		})
		now := time.Now()
		switch {
		case err == nil:
			why = reason(&b)
			view.show(&b, now.Sub(began), now, why == "")
			if why == "" {
				return d.healthy()
			}
		case isTransient(err): // leaders move
			why = err.Error()
		default:
			return err
		}
		if now.Sub(began) > limit {
			return fmt.Errorf("not after %v: %s", limit, why)
		}
		if err := errors.Join(d.healthy(), pause(ctx, boardPoll)); err != nil {
			return err
		}
	}
}

// healthy fails once a process ended by itself or a client saw something wrong.
func (d *elasticDemo) healthy() error {
	return errors.Join(append(d.cluster.Crashes(), d.load.Report().Err(), d.watch.err())...)
}

func (d *elasticDemo) grow(ctx context.Context) error {
	if err := d.until(ctx, 30*time.Second, func(b *board) string { return wrongIf(b.short > 0, "%d ranges are short of replicas", b.short) }); err != nil {
		return err
	}
	began := time.Now()
	for len(d.cluster.Nodes()) < elasticGrown {
		n, err := d.cluster.Join(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "   %s joined with --join and serves on %s (pid %d)\n", n.Name, n.Endpoint, n.Pid())
	}
	d.follow()
	err := d.until(ctx, evenWithin, func(b *board) string {
		leaders, replicas := b.spread(leadersOf), b.spread(replicasOf)
		return wrongIf(len(b.nodes) < elasticGrown || b.short > 0 || leaders > evenSpread || replicas > evenSpread,
			"max/min is %.2f of leaders and %.2f of replicas, at most %.1f is even; %d ranges are short", leaders, replicas, evenSpread, b.short)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   leaders and replicas are even %.0f s after the first node began to join\n", time.Since(began).Seconds())
	return d.until(ctx, evenWithin, func(b *board) string {
		bytes, leaders := b.spread(bytesOf), b.spread(leadersOf)
		return wrongIf(bytes > evenBytes || leaders > evenSpread, "max/min is %.2f of bytes and %.2f of leaders", bytes, leaders)
	})
}

func wrongIf(wrong bool, format string, args ...any) string {
	if !wrong {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// follow lets the load and the watch use the nodes that there are now.
func (d *elasticDemo) follow(without ...string) {
	var endpoints []string
	for _, n := range d.cluster.Nodes() {
		if n.Running() && !slices.Contains(without, n.Name) {
			endpoints = append(endpoints, n.Endpoint)
		}
	}
	d.load.SetEndpoints(endpoints)
	d.watch.client.SetEndpoints(endpoints...)
}

// loseOne kills the node that leads the root range, the worst one to lose.
func (d *elasticDemo) loseOne(ctx context.Context) error {
	victim, err := d.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	killed := time.Now()
	if err := d.cluster.Retire(victim); err != nil {
		return err
	}
	if err := d.watch.waitBeyond(ctx, d.watch.last.Load()); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   killed %s, the leader of the root range (SIGKILL); writes and the watch go on after %d ms\n",
		victim.Name, time.Since(killed).Milliseconds())
	d.follow()
	err = d.until(ctx, rebuildWithin, func(b *board) string {
		n := b.named(victim.Name)
		return wrongIf(n.replicas > 0 || b.short > 0, "%s still counts with %d replicas, %d ranges are short", n.name, n.replicas, b.short)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   every range is fully replicated again %.0f s after the kill\n", time.Since(killed).Seconds())
	return d.remove(ctx, victim.Name)
}

// remove takes an empty node out of the membership. What a node holds is known
// a little later than it changes, so a refusal is not final.
func (d *elasticDemo) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	for {
		err := d.admin(ctx, func(ctx context.Context, c pontoonpb.AdminClient) error {
			nodes, err := listNodes(ctx, c)
			if err != nil {
				return err
			}
			n, err := findNode(nodes, name)
			if err != nil {
				return err
			}
			_, err = c.NodeRemove(ctx, &pontoonpb.NodeRemoveRequest{NodeId: n.NodeId})
			return err
		})
		if err == nil {
			fmt.Fprintf(d.out, "   %s is removed for good\n", name)
			return nil
		}
		if pause(ctx, boardPoll) != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
}

// drainOne empties a node that was there from the beginning and takes it out.
func (d *elasticDemo) drainOne(ctx context.Context) error {
	leaving := d.cluster.Nodes()[0]
	began := time.Now()
	err := d.admin(ctx, func(ctx context.Context, c pontoonpb.AdminClient) error {
		nodes, err := listNodes(ctx, c)
		if err != nil {
			return err
		}
		n, err := findNode(nodes, leaving.Name)
		if err != nil {
			return err
		}
		_, err = c.NodeDrain(ctx, &pontoonpb.NodeDrainRequest{NodeId: n.NodeId})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   %s drains\n", leaving.Name)
	err = d.until(ctx, drainWithin, func(b *board) string {
		n := b.named(leaving.Name)
		return wrongIf(n.replicas > 0 || b.short > 0, "%s holds %d replicas and leads %d, %d ranges are short", n.name, n.replicas, n.leaders, b.short)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   %s is empty after %.0f s\n", leaving.Name, time.Since(began).Seconds())
	d.follow(leaving.Name)
	if err := d.remove(ctx, leaving.Name); err != nil {
		return err
	}
	if err := leaving.WaitEnd(endWithin); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   its process heard of it and ended\n")
	return d.cluster.Retire(leaving)
}

func (d *elasticDemo) verifyAll(ctx context.Context) error {
	d.churning()
	select {
	case <-d.churned:
	case <-ctx.Done():
		return ctx.Err()
	}
	fmt.Fprintf(d.out, "   %d watch events over all of it, revisions in order\n", d.watch.events.Load())
	if err := d.verify(ctx); err != nil {
		return err
	}
	if err := d.equal(ctx); err != nil {
		return err
	}
	return d.healthy()
}

// equal compares the replicas of every range. One that lags behind catches up,
// now that nothing writes.
func (d *elasticDemo) equal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, equalWithin)
	defer cancel()
	for {
		var sums []rangeChecksumView
		err := d.admin(ctx, func(ctx context.Context, c pontoonpb.AdminClient) (err error) {
			sums, err = checksumRanges(ctx, c, nil)
			return err
		})
		differ := slices.DeleteFunc(slices.Clone(sums), func(s rangeChecksumView) bool { return s.Equal })
		if err == nil && len(sums) > 0 && len(differ) == 0 {
			fmt.Fprintf(d.out, "   the replicas of all %d ranges are equal\n", len(sums))
			return nil
		}
		if pause(ctx, boardPoll) != nil {
			return errors.Join(err, fmt.Errorf("replicas differ: %+v", differ))
		}
	}
}
