package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// memberChanges add nodes to the cluster and take them out again.
var memberChanges = []kind{
	{"join", 3, join},
	{"leave", 3, leave},
}

const (
	spares     = 2                // machines that may join
	joinLimit  = 15 * time.Second // of one try
	leaveLimit = 25 * time.Second
)

// enter takes a machine in among those that belong to the cluster, from now on.
func (c *cluster) enter(m *machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.machines = append(c.machines, m)
}

func (c *cluster) gone(m *machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.machines = slices.DeleteFunc(slices.Clone(c.machines), func(o *machine) bool { return o == m })
}

// members are the machines whose nodes belong to the cluster.
func (c *cluster) members() []*machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.machines)
}

// spare takes a machine that has never run, nil: there is none.
func (c *cluster) spare() *machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spares) == 0 {
		return nil
	}
	m := c.spares[0]
	c.spares = c.spares[1:]
	return m
}

// join starts a node that is told some members. One that finds nobody in time
// tries again when everything is healed.
func join(ctx context.Context, n *nemesis, s step) error {
	m := n.c.spare()
	if m == nil {
		return nil
	}
	n.c.enter(m)
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	if err := m.start(ctx); err != nil {
		n.note("join failed")
		n.c.opts.Trace.Debug("join", "error", err)
		return nil
	}
	n.note(s.kind)
	return nil
}

// leave drains a node that joined, removes it, and waits for it to end by itself.
// What is not done in time stays as it is.
func leave(ctx context.Context, n *nemesis, s step) error {
	m := n.joined()
	if m == nil || !n.take(m) {
		return nil
	}
	defer n.release(m)
	ctx, cancel := context.WithTimeout(ctx, leaveLimit)
	defer cancel()
	if err := n.drainAndRemove(ctx, m); err != nil {
		n.note("leave not done")
		n.c.opts.Trace.Debug("leave", "error", err)
		return nil
	}
	n.note(s.kind)
	n.c.gone(m)
	select {
	case <-m.node.Failed():
		return m.shutDown()
	case <-time.After(leaveLimit):
		return errors.Join(fmt.Errorf("%s was removed and goes on", m.name), m.die(100, 0))
	}
}

// joined is a member that was none at first.
func (n *nemesis) joined() *machine {
	for _, m := range n.c.members()[n.plan.nodes:] {
		if m.running() {
			return m
		}
	}
	return nil
}

func (n *nemesis) drainAndRemove(ctx context.Context, m *machine) error {
	steer := n.c.steer
	self, err := steer.NodeNamed(ctx, m.name)
	if err != nil {
		return err
	}
	if err := steer.Drain(ctx, self.ID); err != nil {
		return err
	}
	err = poll(ctx, func() error {
		ranges, err := steer.Ranges(ctx)
		for _, r := range ranges {
			if r.Has(self.ID) {
				return fmt.Errorf("range %d is there still", r.ID)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return poll(ctx, func() error { return steer.Remove(ctx, self.ID, false) })
}
