package gaps

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

// settle is how long the cluster is watched after a fault, and rests before the
// next one.
const (
	watched = 3 * time.Second
	resting = time.Second
	limit   = 60 * time.Second // of anything that is waited for
)

// probed are the keys written to; each begins a range of its own.
var probed = []string{"gap/a", "gap/b", "gap/c"}

// bench is a measurement under way.
type bench struct {
	o     *Options
	c     *cluster.Cluster
	steer *steer.Client
	rng   *rand.Rand
	out   io.Writer
}

// Run starts a cluster and measures all scenarios. The error names the first
// bound that was missed; the report is complete either way.
func Run(ctx context.Context, out io.Writer, o Options) (*Report, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Kind: cluster.Pontoon, Binary: o.Binary, Nodes: o.Nodes, Dir: o.Dir, Args: o.Args, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b := &bench{o: &o, c: c, rng: rand.New(rand.NewPCG(o.Seed, 1)), out: out}
	b.steer = steer.New(func() []string {
		var up []string
		for _, n := range c.Nodes() {
			if n.Running() {
				up = append(up, n.Endpoint)
			}
		}
		return up
	})
	defer b.steer.Close()
	rep := &Report{Seed: o.Seed, Nodes: o.Nodes, EveryMillis: o.Every.Seconds() * 1000}
	if err := b.prepare(ctx); err != nil {
		return rep, err
	}
	for _, s := range []struct {
		name string
		max  time.Duration
		try  func(context.Context, int) (Try, error)
	}{
		{"leader kill", o.MaxLeaderKill, b.leaderKill},
		{"sequencer kill", o.MaxSequencerKill, b.sequencerKill},
		{"clean restart", o.MaxRestart, b.restart},
	} {
		sc := &Scenario{Name: s.name, BoundMillis: float64(s.max.Milliseconds()), NoFailures: s.name == "clean restart"}
		rep.Scenarios = append(rep.Scenarios, sc)
		for i := range o.Tries {
			o.Progress(s.name, i, o.Tries)
			try, err := s.try(ctx, i)
			if err != nil {
				return rep, fmt.Errorf("%s, try %d: %w", s.name, i+1, err)
			}
			sc.add(try)
		}
		o.Progress(s.name, o.Tries, o.Tries)
		sc.WriteText(out)
	}
	return rep, rep.Err()
}

// prepare gives each probed key a range.
func (b *bench) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// Placement must not move what a try arranges; without it that is no matter.
	if err := b.steer.Set(ctx, "balance_off", "true", "range_merge_bytes", "off"); err != nil {
		b.o.Logger.Info("placement goes on", "error", err)
	}
	for _, key := range append(probed[:len(probed):len(probed)], "gap0") {
		if err := b.steer.Split(ctx, key); err != nil {
			return fmt.Errorf("split at %s: %w", key, err)
		}
	}
	return nil
}

// leaderKill kills the leader of the first probed range, which is not the node
// of the sequencer.
func (b *bench) leaderKill(ctx context.Context, _ int) (Try, error) {
	victim, err := b.arrange(ctx, false)
	if err != nil {
		return Try{}, err
	}
	return b.kill(ctx, victim)
}

// sequencerKill kills the leader of the root range. The probed range is led
// elsewhere, so the gap is the sequencer's alone.
func (b *bench) sequencerKill(ctx context.Context, _ int) (Try, error) {
	victim, err := b.arrange(ctx, true)
	if err != nil {
		return Try{}, err
	}
	return b.kill(ctx, victim)
}

// arrange makes another node than the root range's leader lead the first probed
// range, and returns that node, or the root range's leader.
func (b *bench) arrange(ctx context.Context, root bool) (*cluster.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for ctx.Err() == nil {
		leader, other, err := b.leaders(ctx)
		if err == nil && root {
			return b.node(ctx, leader)
		}
		if err == nil {
			return b.node(ctx, other)
		}
		last = err
		pause(ctx, 200*time.Millisecond)
	}
	return nil, last
}

// leaders returns who leads the root range and who the first probed one; an
// error if that is the same node, after asking for a change.
func (b *bench) leaders(ctx context.Context) (root, other uint64, err error) {
	ranges, err := b.steer.Ranges(ctx)
	if err != nil {
		return 0, 0, err
	}
	i := slices.IndexFunc(ranges, func(r steer.Range) bool { return strings.HasSuffix(string(r.Start), probed[0]) })
	if i < 0 || !ranges[0].Root() {
		return 0, 0, fmt.Errorf("no range begins at %s", probed[0])
	}
	root, other = ranges[0].Leader, ranges[i].Leader
	switch {
	case root == 0 || other == 0:
		return 0, 0, fmt.Errorf("a range has no leader")
	case root != other:
		return root, other, nil
	}
	for _, k := range b.rng.Perm(len(ranges[i].Voters)) {
		if to := ranges[i].Voters[k]; to != root {
			err = b.steer.TransferLeader(ctx, ranges[i].ID, to)
			break
		}
	}
	return 0, 0, fmt.Errorf("one node leads both (%v)", err)
}

// node finds the process of a node.
func (b *bench) node(ctx context.Context, id uint64) (*cluster.Node, error) {
	nodes, err := b.steer.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range nodes {
		for _, n := range b.c.Nodes() {
			if m.ID == id && m.Name == n.Name {
				return n, nil
			}
		}
	}
	return nil, fmt.Errorf("no process for node %x", id)
}

// kill measures one SIGKILL, then brings the node back.
func (b *bench) kill(ctx context.Context, victim *cluster.Node) (Try, error) {
	p, err := b.probe(ctx, probed[:1])
	if err != nil {
		return Try{}, err
	}
	defer p.close()
	if err := victim.Kill(); err != nil {
		return Try{}, err
	}
	try := b.watch(ctx, p, victim.Name, func() error { return nil })
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := victim.Restart(ctx); err != nil {
		return try, err
	}
	pause(ctx, resting)
	return try, nil
}

// restart measures one clean stop and start of a node, each in turn.
func (b *bench) restart(ctx context.Context, i int) (Try, error) {
	nodes := b.c.Nodes()
	victim := nodes[i%len(nodes)]
	p, err := b.probe(ctx, probed)
	if err != nil {
		return Try{}, err
	}
	defer p.close()
	try := b.watch(ctx, p, victim.Name, func() error {
		if err := victim.Stop(30 * time.Second); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return victim.Restart(ctx)
	})
	pause(ctx, resting)
	if try.err != nil {
		return try, try.err
	}
	return try, nil
}

// probe starts to write and returns once every range answers steadily.
func (b *bench) probe(ctx context.Context, keys []string) (*prober, error) {
	p, err := startProber(ctx, b.c.Endpoints(), b.o.Every, keys...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !p.flowing(20) {
		if ctx.Err() != nil {
			p.close()
			return nil, fmt.Errorf("no steady writes before the fault")
		}
		pause(ctx, 20*time.Millisecond)
	}
	p.reset()
	return p, nil
}

// watch measures what do brings about, until writes flow again.
func (b *bench) watch(ctx context.Context, p *prober, node string, do func() error) Try {
	try := Try{Node: node, err: do()}
	began := time.Now()
	for ctx.Err() == nil && (time.Since(began) < watched || !p.flowing(1)) && time.Since(began) < limit {
		pause(ctx, 20*time.Millisecond)
	}
	gap, failed, err := p.result()
	try.GapMillis, try.Failed = gap.Seconds()*1000, failed
	if err != nil {
		try.Error = err.Error()
	}
	return try
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
