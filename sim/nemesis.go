package sim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pontoon-kv/pontoon/bench/robust"
)

// kind is one sort of fault or change. do returns once it is over and undone;
// an error is a broken promise. What could not be done counts as skipped.
type kind struct {
	name   string
	weight int
	do     func(ctx context.Context, n *nemesis, s step) error
}

// staged makes a step that is about one leader or txn wait for those before it.
func staged(do func(context.Context, *nemesis, step) error) func(context.Context, *nemesis, step) error {
	return func(ctx context.Context, n *nemesis, s step) error {
		n.stage <- struct{}{}
		defer func() { <-n.stage }()
		return do(ctx, n, s)
	}
}

// kinds are all of them. Their order is part of what a seed means.
var kinds = slices.Concat(machineFaults, linkFaults, leaderFaults, rangeChanges, clockFaults, diskFaults, memberChanges, leaseFaults, txnFaults)

// nemesis carries a plan out.
type nemesis struct {
	c      *cluster
	t      *robust.Traffic
	stale  *staleReaders
	plan   plan
	probes atomic.Int64  // opened so far
	stage  chan struct{} // of one scene at a time: a second would undo its links

	burials sync.WaitGroup // of nodes that were left

	mu     sync.Mutex
	done   map[string]int
	broken []error
	busy   map[*machine]bool // something is done to it
}

func newNemesis(c *cluster, t *robust.Traffic, stale *staleReaders, p plan) *nemesis {
	return &nemesis{
		c: c, t: t, stale: stale, plan: p, stage: make(chan struct{}, 1),
		done: map[string]int{}, busy: map[*machine]bool{},
	}
}

// run does all steps at their times and returns when all are over.
func (n *nemesis) run(ctx context.Context) {
	began := time.Now()
	var wg sync.WaitGroup
	for _, s := range n.plan.steps {
		sleep(ctx, time.Until(began.Add(s.at)))
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() { n.one(ctx, s) })
	}
	wg.Wait()
	n.burials.Wait()
}

func (n *nemesis) one(ctx context.Context, s step) {
	for _, k := range kinds {
		if k.name != s.kind {
			continue
		}
		n.c.opts.Trace.Info("begins", "step", s.String())
		err := k.do(ctx, n, s)
		n.c.opts.Trace.Info("over", "step", s.String(), "error", err)
		n.breaks(s, err)
	}
}

// breaks notes a broken promise, if err is one.
func (n *nemesis) breaks(s step, err error) {
	if err == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = append(n.broken, fmt.Errorf("%v: %w", s, err))
}

// note counts what was done.
func (n *nemesis) note(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done[what]++
}

// take reserves a machine that runs, for a fault that ends its life; false if
// something else does already.
func (n *nemesis) take(m *machine) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy[m] || !m.running() {
		return false
	}
	n.busy[m] = true
	return true
}

func (n *nemesis) release(m *machine) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.busy, m)
}

// victim is a machine drawn by a step.
func (n *nemesis) victim(s step, i int) *machine {
	all := n.c.members()
	return all[s.pick(i, len(all))]
}

// heal undoes what may be left.
func (n *nemesis) heal() {
	for _, a := range n.c.members() {
		a.clock.setDrift(0)
		for _, b := range n.c.members() {
			if a != b {
				n.c.net.Set(a.host, b.host, n.c.net.Default())
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
