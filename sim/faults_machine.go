package sim

import (
	"context"
	"errors"
)

// machineFaults end the life of nodes.
var machineFaults = []kind{
	{"kill", 6, killOne},
	{"power", 6, powerOne},
	{"stop", 3, stopOne},
	{"kill all", 1, killAll},
	{"power all", 2, powerAll},
}

// killOne is SIGKILL: what was written is written.
func killOne(ctx context.Context, n *nemesis, s step) error {
	return n.endLives(ctx, s, 100, n.victim(s, 0))
}

// powerOne takes the power from one machine: of what was not synced, nothing,
// something or all is there afterwards.
func powerOne(ctx context.Context, n *nemesis, s step) error {
	return n.endLives(ctx, s, s.pick(1, 100), n.victim(s, 0))
}

func killAll(ctx context.Context, n *nemesis, s step) error {
	return n.endLives(ctx, s, 100, n.c.members()...)
}

func powerAll(ctx context.Context, n *nemesis, s step) error {
	return n.endLives(ctx, s, s.pick(1, 100), n.c.members()...)
}

func (n *nemesis) endLives(ctx context.Context, s step, kept int, victims ...*machine) error {
	var taken []*machine
	for _, m := range victims {
		if n.take(m) {
			taken = append(taken, m)
			defer n.release(m)
		}
	}
	var errs []error
	for _, m := range taken {
		n.note(s.kind)
		errs = append(errs, m.die(kept, s.draw[2]))
	}
	sleep(ctx, s.hold)
	for _, m := range taken {
		errs = append(errs, m.start(ctx))
	}
	return errors.Join(errs...)
}

// stopOne is SIGTERM, and a start later.
func stopOne(ctx context.Context, n *nemesis, s step) error {
	m := n.victim(s, 0)
	if !n.take(m) {
		return nil
	}
	defer n.release(m)
	n.note(s.kind)
	err := m.shutDown()
	sleep(ctx, s.hold)
	return errors.Join(err, m.start(ctx))
}
