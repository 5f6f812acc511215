package robust

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
)

// diskFaults are what happens to disks.
var diskFaults = []fault{
	{"power loss of a leader", 4, func(n *nemesis, ctx context.Context) error {
		return n.losePower(ctx, "power loss of a leader", n.rangeLeader(ctx))
	}},
	{"power loss", 2, func(n *nemesis, ctx context.Context) error { return n.losePower(ctx, "power loss", n.victim()) }},
	{"power loss of a majority", 2, func(n *nemesis, ctx context.Context) error {
		return n.losePower(ctx, "power loss of a majority", n.some(len(n.c.Nodes())/2+1)...)
	}},
	{"power loss of all", 3, func(n *nemesis, ctx context.Context) error {
		return n.losePower(ctx, "power loss of all", n.c.Nodes()...)
	}},
	{"slow syncs", 2, (*nemesis).slowSyncs},
	{"disk stalls", 2, (*nemesis).stallDisk},
	{"disk nearly full", 1, (*nemesis).fillDisk},
	{"disk full", 1, (*nemesis).fillDiskUp},
}

// losePower takes power from nodes at one moment: what was acknowledged must have
// been synced (P1).
func (n *nemesis) losePower(ctx context.Context, name string, victims ...*cluster.Node) error {
	n.note(name, victims...)
	// All processes end before any disk is changed: it is one moment.
	for _, v := range victims {
		if err := v.Kill(); err != nil {
			return err
		}
	}
	for _, v := range victims {
		if err := v.LosePower(n.rng.IntN(101), n.rng.Uint64()); err != nil {
			return err
		}
	}
	wait(ctx, n.down())
	for _, v := range victims {
		if err := v.Start(); err != nil {
			return err
		}
	}
	return n.healed(ctx)
}

func (n *nemesis) slowSyncs(ctx context.Context) error {
	v := n.victim()
	n.note("slow syncs", v)
	v.Disk.SlowSyncs(n.between(10*time.Millisecond, 400*time.Millisecond))
	wait(ctx, n.between(time.Second, 5*time.Second))
	v.Disk.SlowSyncs(0)
	return n.healed(ctx)
}

// stallDisk holds up all writes and syncs of a node.
func (n *nemesis) stallDisk(ctx context.Context) error {
	v := n.rangeLeader(ctx)
	n.note("disk stalls", v)
	v.Disk.Stall()
	wait(ctx, n.between(500*time.Millisecond, 6*time.Second))
	v.Disk.GoOn()
	return n.healed(ctx)
}

const (
	nearlyFull = 64 << 20 // bytes that are left: less than a node wants, more than it needs
	fullFor    = 3 * time.Second
	alarmLimit = 20 * time.Second
	alarmCheck = 1500 * time.Millisecond // longer than nodes take to look at their disks
)

// fillDisk leaves a node so little room that it must raise NOSPACE, long before
// its engine has none.
func (n *nemesis) fillDisk(ctx context.Context) error {
	v := n.victim()
	n.note("disk nearly full", v)
	v.Disk.Fill(nearlyFull)
	defer v.Disk.Empty()
	err := n.alarms(ctx, func(_ clientv3.Maintenance, raised int) error {
		if raised == 0 {
			return fmt.Errorf("no NOSPACE although %s has %d bytes left", v.Name, nearlyFull)
		}
		return nil
	})
	if err != nil {
		return err
	}
	wait(ctx, fullFor)
	v.Disk.Empty()
	return errors.Join(n.disarm(ctx), n.healed(ctx))
}

// fillDiskUp leaves a node no room. It ends then, since it can promise nothing any
// more, unless it has nothing to write.
func (n *nemesis) fillDiskUp(ctx context.Context) error {
	v := n.victim()
	n.note("disk full", v)
	v.MayEnd()
	v.Disk.Fill(0)
	wait(ctx, fullFor)
	v.Disk.Empty()
	if err := v.Kill(); err != nil {
		return err
	}
	if err := v.Start(); err != nil {
		return err
	}
	return errors.Join(n.disarm(ctx), n.healed(ctx))
}

// disarm takes NOSPACE back until it stays away.
func (n *nemesis) disarm(ctx context.Context) error {
	quiet := 0
	return n.alarms(ctx, func(m clientv3.Maintenance, raised int) error {
		if raised == 0 {
			if quiet++; quiet > int(alarmCheck/(100*time.Millisecond)) {
				return nil
			}
			return errors.New("NOSPACE may come again")
		}
		quiet = 0
		_, err := m.AlarmDisarm(ctx, &clientv3.AlarmMember{})
		return errors.Join(errors.New("NOSPACE is raised although there is room"), err)
	})
}

// alarms looks at the alarms until what it finds is right.
func (n *nemesis) alarms(ctx context.Context, right func(m clientv3.Maintenance, raised int) error) error {
	ctx, cancel := context.WithTimeout(ctx, alarmLimit)
	defer cancel()
	c, err := dial.Open(dial.Options{Endpoints: n.c.Endpoints()})
	if err != nil {
		return err
	}
	defer c.Close()
	return poll(ctx, func() error {
		resp, err := c.AlarmList(ctx)
		if err != nil {
			return err
		}
		raised := 0
		for _, a := range resp.Alarms {
			if a.Alarm == etcdserverpb.AlarmType_NOSPACE {
				raised++
			}
		}
		return right(c, raised)
	})
}
