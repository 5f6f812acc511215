package robust

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// crashFaults are what happens to processes, and what they are told to do.
var crashFaults = []fault{
	{"kill leader", 5, func(n *nemesis, ctx context.Context) error { return n.kill(ctx, "kill leader", n.sequencer(ctx)) }},
	{"kill", 4, func(n *nemesis, ctx context.Context) error { return n.kill(ctx, "kill", n.victim()) }},
	{"pause", 3, func(n *nemesis, ctx context.Context) error { return n.pause(ctx, n.victim()) }},
	{"stop", 2, func(n *nemesis, ctx context.Context) error { return n.stop(ctx, n.victim()) }},
	{"kill all", 1, func(n *nemesis, ctx context.Context) error { return n.kill(ctx, "kill all", n.c.Nodes()...) }},
	{"split", 1, func(n *nemesis, ctx context.Context) error { n.split(ctx, n.splitKey()); return nil }},
	{"move", 1, func(n *nemesis, ctx context.Context) error { n.move(ctx, n.choice()); return nil }},
	{"kill in change", 3, (*nemesis).killDuringChange},
}

// killDuringChange kills a leader while ranges are split or moved: what a change
// leaves to do finds another leader, or none.
func (n *nemesis) killDuringChange(ctx context.Context) error {
	key, choice := n.splitKey(), n.choice()
	split, after := n.rng.IntN(2) == 0, time.Duration(n.rng.IntN(400))*time.Millisecond
	victim := n.sequencer(ctx)
	var change sync.WaitGroup
	change.Go(func() {
		if split {
			n.split(ctx, key)
		} else {
			n.move(ctx, choice)
		}
	})
	wait(ctx, after)
	err := n.kill(ctx, "kill in change", victim)
	change.Wait()
	return err
}

// kill ends processes, which loses nothing that was written, synced or not.
func (n *nemesis) kill(ctx context.Context, name string, victims ...*cluster.Node) error {
	n.note(name, victims...)
	down := n.down()
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
func (n *nemesis) pause(ctx context.Context, victim *cluster.Node) error {
	n.note("pause", victim)
	down := 2 * n.down()
	if err := victim.Pause(); err != nil {
		return err
	}
	wait(ctx, down)
	if err := victim.Resume(); err != nil {
		return err
	}
	return n.healed(ctx)
}

func (n *nemesis) stop(ctx context.Context, victim *cluster.Node) error {
	n.note("stop", victim)
	down := n.down()
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
