package robust

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

// stepLimit bounds one step of an elastic run: a join, a rebuild, a drain.
const stepLimit = 90 * time.Second

// mostNodes is how far an elastic run grows.
const mostNodes = 6

// phase is what an elastic run does to the nodes in one round. The cluster
// grows to mostNodes, loses one node for good, gives one back, and again.
type phase int

const (
	phaseGrow phase = iota
	phaseLose
	phaseDrain
	phases
	phaseRoll // of a soak: every node is stopped and started again, one after the other
)

// elastic changes the nodes of a cluster under load, while a mover changes its
// ranges.
type elastic struct {
	c      *cluster.Cluster
	steer  *steer.Client
	phase  phase
	victim *cluster.Node // of this round, nil if none is taken away
}

// newElastic decides what happens in round n, so that clients can keep to the
// nodes that stay.
func newElastic(m Mode, c *cluster.Cluster, s *steer.Client, n *nemesis, round int) *elastic {
	if m == ModeSoak {
		return &elastic{c: c, steer: s, phase: phaseRoll}
	}
	e := &elastic{c: c, steer: s, phase: phase(round) % phases}
	if nodes := c.Nodes(); e.phase != phaseGrow {
		e.victim = nodes[n.rng.IntN(len(nodes))]
	}
	return e
}

// play moves ranges for the length of the round and until its step is done.
func (e *elastic) play(ctx context.Context, n *nemesis, length time.Duration) error {
	over := time.After(length)
	moving, stop := context.WithCancel(ctx)
	defer stop()
	m := &mover{steer: e.steer, keys: n.keys, note: n.note, logger: n.logger}
	done := m.start(moving, n.rng.Uint64())
	err := e.step(ctx, n)
	select {
	case <-over:
	case <-ctx.Done():
	}
	stop()
	done()
	return err
}

func (e *elastic) step(ctx context.Context, n *nemesis) error {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	switch e.phase {
	case phaseGrow:
		for len(e.c.Nodes()) < mostNodes {
			if err := e.join(ctx, n); err != nil {
				return fmt.Errorf("join: %w", err)
			}
		}
		return nil
	case phaseRoll:
		for _, node := range e.c.Nodes() {
			if err := n.stop(ctx, node); err != nil {
				return err
			}
		}
		return nil
	case phaseLose:
		return e.lose(ctx, n)
	default:
		return e.drain(ctx, n)
	}
}

func (e *elastic) join(ctx context.Context, n *nemesis) error {
	node, err := e.c.Join(ctx)
	if err != nil {
		return err
	}
	n.note("join", node)
	return poll(ctx, func() error {
		m, err := e.steer.NodeNamed(ctx, node.Name)
		if err == nil && m.State != "live" {
			err = fmt.Errorf("%s is %s", m.Name, m.State)
		}
		return err
	})
}

// lose kills a node for good and waits until others have its replicas.
func (e *elastic) lose(ctx context.Context, n *nemesis) error {
	m, err := e.steer.NodeNamed(ctx, e.victim.Name)
	if err != nil {
		return fmt.Errorf("lose %s: %w", e.victim.Name, err)
	}
	n.note("lose for good", e.victim)
	if err := e.c.Retire(e.victim); err != nil {
		return err
	}
	if err := e.empty(ctx, m); err != nil {
		return fmt.Errorf("rebuild what %s had: %w", m.Name, err)
	}
	return e.remove(ctx, m)
}

// drain takes a living node out.
func (e *elastic) drain(ctx context.Context, n *nemesis) error {
	m, err := e.steer.NodeNamed(ctx, e.victim.Name)
	if err != nil {
		return fmt.Errorf("drain %s: %w", e.victim.Name, err)
	}
	n.note("drain and remove", e.victim)
	if err := poll(ctx, func() error { return e.steer.Drain(ctx, m.ID) }); err != nil {
		return fmt.Errorf("drain %s: %w", m.Name, err)
	}
	if err := e.empty(ctx, m); err != nil {
		return fmt.Errorf("drain %s: %w", m.Name, err)
	}
	if err := e.remove(ctx, m); err != nil {
		return err
	}
	// A removed node stops by itself when it hears of it.
	err = e.victim.WaitEnd(20 * time.Second)
	return errors.Join(err, e.c.Retire(e.victim))
}

// empty waits until no range has a replica on a node.
func (e *elastic) empty(ctx context.Context, m steer.Node) error {
	return poll(ctx, func() error {
		ranges, err := e.steer.Ranges(ctx)
		if err != nil {
			return err
		}
		left := 0
		for _, r := range ranges {
			if r.Has(m.ID) {
				left++
			}
		}
		if left == 0 && len(ranges) > 0 {
			return nil
		}
		return fmt.Errorf("%d of %d ranges have a replica there still%s", left, len(ranges), e.doing(ctx))
	})
}

// doing tells what placement is at, for an error.
func (e *elastic) doing(ctx context.Context) string {
	ops, err := e.steer.Operators(ctx, true)
	if err != nil {
		return "; operators: " + err.Error()
	}
	text := ""
	for i := max(0, len(ops)-5); i < len(ops); i++ {
		text += "; " + ops[i].String()
	}
	return text
}

// remove takes an empty node out of the membership. It is tried again: leaders
// move all the time.
func (e *elastic) remove(ctx context.Context, m steer.Node) error {
	if err := poll(ctx, func() error { return e.steer.Remove(ctx, m.ID, false) }); err != nil {
		return fmt.Errorf("remove %s: %w", m.Name, err)
	}
	return nil
}
