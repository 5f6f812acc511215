package robust

import (
	"context"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cut"
)

// netFaults cut links or make them bad for some time. Clients reach every node all
// the time: a gateway without peers must refuse or wait, never lie.
var netFaults = []fault{
	{"cut off sequencer", 3, cutting(func(n *nemesis, ctx context.Context) {
		n.isolate("cut off sequencer", n.sequencer(ctx)) // and what else that node leads
	})},
	{"cut off a leader", 3, cutting(func(n *nemesis, ctx context.Context) {
		n.isolate("cut off a leader", n.rangeLeader(ctx))
	})},
	{"cut off a minority", 2, cutting(func(n *nemesis, _ context.Context) {
		n.isolate("cut off a minority", n.some((len(n.c.Nodes())-1)/2)...)
	})},
	{"cut one direction", 2, cutting(func(n *nemesis, _ context.Context) {
		pair := n.some(2)
		n.note("cut one direction", pair...)
		n.c.Links().Cut(pair[0].Name, pair[1].Name, false)
	})},
	{"deaf or mute node", 2, cutting((*nemesis).deafOrMute)},
	{"cut one link", 2, cutting(func(n *nemesis, _ context.Context) {
		pair := n.some(2)
		n.note("cut one link", pair...)
		n.c.Links().CutBoth(pair[0].Name, pair[1].Name, n.reset())
	})},
	{"slow links", 1, cutting(func(n *nemesis, _ context.Context) {
		n.badLinks("slow links", cut.Slowness{Delay: n.between(5*time.Millisecond, 80*time.Millisecond), Jitter: n.between(0, 40*time.Millisecond)})
	})},
	{"lossy links", 1, cutting(func(n *nemesis, _ context.Context) {
		n.badLinks("lossy links", cut.Slowness{Jitter: 2 * time.Millisecond, Lost: 1 + n.rng.IntN(15)})
	})},
}

// cutting heals after a while what was done to the links.
func cutting(harm func(n *nemesis, ctx context.Context)) func(*nemesis, context.Context) error {
	return func(n *nemesis, ctx context.Context) error {
		harm(n, ctx)
		wait(ctx, n.between(1500*time.Millisecond, 5500*time.Millisecond))
		n.c.Links().Heal()
		return n.healed(ctx)
	}
}

// reset says whether sockets are closed or packets dropped.
func (n *nemesis) reset() bool { return n.rng.IntN(3) == 0 }

// deafOrMute: everybody hears the node, it hears nobody; or the other way round.
func (n *nemesis) deafOrMute(context.Context) {
	a := n.victim()
	n.note("deaf or mute node", a)
	deaf := n.rng.IntN(2) == 0
	for _, o := range n.c.Nodes() {
		if o != a && deaf {
			n.c.Links().Cut(o.Name, a.Name, false)
		} else if o != a {
			n.c.Links().Cut(a.Name, o.Name, false)
		}
	}
}

// badLinks makes all links of a node worse, both ways.
func (n *nemesis) badLinks(fault string, s cut.Slowness) {
	a := n.victim()
	n.note(fault, a)
	for _, o := range n.c.Nodes() {
		if o != a {
			n.c.Links().Slow(a.Name, o.Name, s)
			n.c.Links().Slow(o.Name, a.Name, s)
		}
	}
}

// isolate cuts a group off from everybody else. Its members still reach each
// other.
func (n *nemesis) isolate(fault string, group ...*cluster.Node) {
	n.note(fault, group...)
	reset := n.reset()
	for _, a := range group {
		for _, b := range n.c.Nodes() {
			if !slices.Contains(group, b) {
				n.c.Links().CutBoth(a.Name, b.Name, reset)
			}
		}
	}
}

// rangeLeader is the leader of some range that is not the root range; any node if
// nobody says.
func (n *nemesis) rangeLeader(ctx context.Context) *cluster.Node {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	ranges, err := n.steer.Ranges(ctx)
	members, merr := n.steer.Nodes(ctx)
	if err != nil || merr != nil || len(ranges) < 2 {
		return n.victim()
	}
	leader := ranges[1+n.rng.IntN(len(ranges)-1)].Leader
	for _, m := range members {
		for _, node := range n.c.Nodes() {
			if m.ID == leader && m.Name == node.Name {
				return node
			}
		}
	}
	return n.victim()
}
