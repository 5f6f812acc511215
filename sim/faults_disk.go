package sim

import (
	"context"
	"errors"
	"time"
)

// diskFaults make disks slow, or refuse.
var diskFaults = []kind{
	{"disk slow", 3, diskSlow},
	{"disk stall", 3, diskStall},
	{"disk refuses", 4, diskRefuses},
}

// diskSlow makes syncs as slow as they are on the worst of cloud disks.
func diskSlow(ctx context.Context, n *nemesis, s step) error {
	m := n.victim(s, 0)
	n.note(s.kind)
	m.disk.setSlowest(time.Duration(5+s.pick(1, 200)) * time.Millisecond)
	sleep(ctx, 2*s.hold)
	m.disk.setSlowest(usualSync)
	return nil
}

// diskStall: nothing is read or written for a while.
func diskStall(ctx context.Context, n *nemesis, s step) error {
	n.note(s.kind)
	goOn := n.victim(s, 0).disk.stall()
	sleep(ctx, s.hold)
	goOn()
	return nil
}

// diskRefuses ends a node at one of its next writes, between any two: what it
// did not sync is lost or not.
func diskRefuses(ctx context.Context, n *nemesis, s step) error {
	m := n.victim(s, 0)
	if !n.take(m) {
		return nil
	}
	defer n.release(m)
	died := make(chan error, 1)
	m.disk.refuse(1+s.pick(1, 300), func() {
		left := m.leave(s.pick(2, 101), s.draw[3])
		go func() { died <- m.bury(left) }()
	})
	select {
	case err := <-died:
		n.note(s.kind)
		sleep(ctx, s.hold)
		return errors.Join(err, m.start(ctx))
	case <-time.After(mostHold):
		m.disk.refuse(0, nil)
	}
	if m.running() {
		return nil
	}
	return errors.Join(<-died, m.start(ctx)) // it died at that moment
}
