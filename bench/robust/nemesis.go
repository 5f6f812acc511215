package robust

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

// nemesis does harm to a cluster, one fault at a time, and heals it.
type nemesis struct {
	c      *cluster.Cluster
	mode   Mode
	steer  *steer.Client // nil for etcd
	rng    *rand.Rand
	every  time.Duration
	keys   int
	logger *slog.Logger

	mu     sync.Mutex
	faults map[string]int
}

// loop does harm until ctx ends and leaves every node running.
func (n *nemesis) loop(ctx context.Context) error {
	for {
		wait := time.Duration((0.5 + n.rng.Float64()) * float64(n.every))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		// A fault is carried through also when the load ends meanwhile.
		if err := n.strike(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

func (n *nemesis) strike(ctx context.Context) error {
	if n.mode == ModeNet {
		return n.strikeNet(ctx)
	}
	nodes := n.c.Nodes()
	victim := nodes[n.rng.IntN(len(nodes))]
	down := time.Duration(200+n.rng.IntN(1800)) * time.Millisecond
	switch p := n.rng.IntN(100); {
	case p < 25:
		if leader, err := n.c.Leader(ctx); err == nil {
			victim = leader
		}
		return n.kill(ctx, "kill leader", down, victim)
	case p < 45:
		return n.kill(ctx, "kill", down, victim)
	case p < 58:
		return n.pause(ctx, victim, 2*down)
	case p < 68:
		return n.stop(ctx, victim, down)
	case p < 75:
		return n.kill(ctx, "kill all", down, nodes...)
	case p < 80:
		n.split(ctx, n.splitKey())
		return nil
	case p < 86:
		n.move(ctx, n.choice())
		return nil
	default:
		return n.killDuringChange(ctx, down)
	}
}

// killDuringChange kills a leader while ranges are split or moved: what a change
// leaves to do finds another leader, or none.
func (n *nemesis) killDuringChange(ctx context.Context, down time.Duration) error {
	key, choice := n.splitKey(), n.choice()
	split, after := n.rng.IntN(2) == 0, time.Duration(n.rng.IntN(400))*time.Millisecond
	victim, err := n.c.Leader(ctx)
	if err != nil {
		victim = n.c.Nodes()[0]
	}
	var change sync.WaitGroup
	change.Go(func() {
		if split {
			n.split(ctx, key)
		} else {
			n.move(ctx, choice)
		}
	})
	wait(ctx, after)
	err = n.kill(ctx, "kill in change", down, victim)
	change.Wait()
	return err
}

func (n *nemesis) note(fault string, victims ...*cluster.Node) {
	n.mu.Lock()
	n.faults[fault]++
	n.mu.Unlock()
	for _, v := range victims {
		n.logger.Info("fault", "fault", fault, "node", v.Name)
	}
}

func (n *nemesis) kill(ctx context.Context, name string, down time.Duration, victims ...*cluster.Node) error {
	n.note(name, victims...)
	for _, v := range victims {
		if err := v.Kill(); err != nil {
			return err
		}
	}
	wait(ctx, down)
	for _, v := range victims {
		if err := v.Start(); err != nil {
			return err
		}
	}
	return n.healed(ctx)
}

// pause hangs a node without its knowing: what it believes about leadership is
// out of date when it wakes (P3, P4).
func (n *nemesis) pause(ctx context.Context, victim *cluster.Node, down time.Duration) error {
	n.note("pause", victim)
	if err := victim.Pause(); err != nil {
		return err
	}
	wait(ctx, down)
	if err := victim.Resume(); err != nil {
		return err
	}
	return n.healed(ctx)
}

func (n *nemesis) stop(ctx context.Context, victim *cluster.Node, down time.Duration) error {
	n.note("stop", victim)
	if err := victim.Stop(20 * time.Second); err != nil {
		return err
	}
	wait(ctx, down)
	if err := victim.Start(); err != nil {
		return err
	}
	return n.healed(ctx)
}

// choice is what a move draws from.
func (n *nemesis) choice() (c [5]int) {
	for i := range c {
		c[i] = n.rng.IntN(1 << 20)
	}
	return c
}

func (n *nemesis) splitKey() string {
	return fmt.Sprintf("%s%c", keyName(n.rng.IntN(n.keys)), '!'+rune(n.rng.IntN(90)))
}

// split cuts a range under load. A key that is a boundary already is refused,
// which is fine.
func (n *nemesis) split(ctx context.Context, key string) {
	if n.c.Kind() != cluster.Pontoon {
		return
	}
	n.note("split")
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := n.c.Split(ctx, key); err != nil {
		n.logger.Info("split refused", "key", key, "error", err)
	}
}

// move transfers the leadership of a few ranges, the root range among them: the
// sequencer hands its number over (P6), leases and watches follow (P2, P22).
func (n *nemesis) move(ctx context.Context, choice [5]int) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	ranges, err := n.c.Ranges(ctx)
	if err != nil {
		n.logger.Info("list refused", "error", err)
	}
	if len(ranges) == 0 {
		return // etcd has none
	}
	n.note("move")
	chosen := []cluster.Range{ranges[0], ranges[choice[0]%len(ranges)], ranges[choice[1]%len(ranges)]}
	for i, r := range chosen {
		if len(r.Replicas) == 0 {
			continue
		}
		to := r.Replicas[choice[2+i]%len(r.Replicas)]
		if err := n.c.TransferLeader(ctx, r, to); err != nil {
			n.logger.Info("transfer refused", "range", r.ID, "to", to, "error", err)
		}
	}
}

// healed waits until every node serves again: a node that does not come back is
// a failure of its own.
func (n *nemesis) healed(ctx context.Context) error {
	if err := n.c.WaitReady(ctx); err != nil {
		return errors.Join(errors.New("the cluster did not heal"), err)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
