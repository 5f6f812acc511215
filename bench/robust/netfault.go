package robust

import (
	"context"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// strikeNet cuts links for some time and heals them. Clients reach every node
// all the time: a gateway without peers must refuse or wait, never lie.
func (n *nemesis) strikeNet(ctx context.Context) error {
	nodes := n.c.Nodes()
	down := time.Duration(1500+n.rng.IntN(4000)) * time.Millisecond
	reset := n.rng.IntN(3) == 0
	i, j := n.rng.IntN(len(nodes)), n.rng.IntN(len(nodes)-1)
	if j >= i {
		j++
	}
	a, b := nodes[i], nodes[j]
	switch p := n.rng.IntN(100); {
	case p < 25:
		// The sequencer, and what else that node leads.
		if leader, err := n.c.Leader(ctx); err == nil {
			a = leader
		}
		n.isolate("cut off sequencer", reset, nodes, a)
	case p < 45:
		if leader := n.rangeLeader(ctx); leader != nil {
			a = leader
		}
		n.isolate("cut off a leader", reset, nodes, a)
	case p < 60:
		minority := n.rng.Perm(len(nodes))[:(len(nodes)-1)/2]
		var group []*cluster.Node
		for _, k := range minority {
			group = append(group, nodes[k])
		}
		n.isolate("cut off a minority", reset, nodes, group...)
	case p < 75:
		n.note("cut one direction", a, b)
		n.c.Links().Cut(a.Name, b.Name, false)
	case p < 88:
		// Everybody hears the node, it hears nobody; or the other way round.
		n.note("deaf or mute node", a)
		deaf := n.rng.IntN(2) == 0
		for _, o := range nodes {
			if o != a && deaf {
				n.c.Links().Cut(o.Name, a.Name, false)
			} else if o != a {
				n.c.Links().Cut(a.Name, o.Name, false)
			}
		}
	default:
		n.note("cut one link", a, b)
		n.c.Links().CutBoth(a.Name, b.Name, reset)
	}
	wait(ctx, down)
	n.c.Links().Heal()
	return n.healed(ctx)
}

// isolate cuts a group off from everybody else. Its members still reach each
// other.
func (n *nemesis) isolate(fault string, reset bool, nodes []*cluster.Node, group ...*cluster.Node) {
	n.note(fault, group...)
	for _, a := range group {
		for _, b := range nodes {
			if !slices.Contains(group, b) {
				n.c.Links().CutBoth(a.Name, b.Name, reset)
			}
		}
	}
}

// rangeLeader is the leader of some range that is not the root range, nil if
// nobody says.
func (n *nemesis) rangeLeader(ctx context.Context) *cluster.Node {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	ranges, err := n.steer.Ranges(ctx)
	members, merr := n.steer.Nodes(ctx)
	if err != nil || merr != nil || len(ranges) < 2 {
		return nil
	}
	leader := ranges[1+n.rng.IntN(len(ranges)-1)].Leader
	for _, m := range members {
		for _, node := range n.c.Nodes() {
			if m.ID == leader && m.Name == node.Name {
				return node
			}
		}
	}
	return nil
}
