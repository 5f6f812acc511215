package plan

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// shareTiers computes for each pair of nodes how many tiers, from the widest
// on, they have in common, and the least penalty that replicas on the nodes
// that may hold some can have.
func (p *planner) shareTiers() {
	n := len(p.nodes)
	p.shared = make([]uint8, n*n)
	any := false
	for i := range p.nodes {
		for j := range i {
			c := commonTiers(p.nodes[i].Record.Locality, p.nodes[j].Record.Locality)
			p.shared[i*n+j], p.shared[j*n+i] = c, c
			any = any || c > 0
		}
	}
	if any {
		p.idealPenalties()
	}
}

func commonTiers(a, b []*pontoonpb.LocalityTier) uint8 {
	n := 0
	for n < len(a) && n < len(b) && a[n].Key == b[n].Key && a[n].Value == b[n].Value {
		n++
	}
	return uint8(min(n, 255))
}

// idealPenalties places replicas one by one where they share least; in a tree
// of domains that is the best there is.
func (p *planner) idealPenalties() {
	most := int(max(p.view.Settings.ReplicationFactor, p.view.Settings.RootReplicationFactor))
	var chosen []member
	p.ideal = append(p.ideal, 0)
	sum := 0
	for len(chosen) < most {
		best, least := none, 0
		for i := range p.nodes {
			if !p.nodes[i].target || has(chosen, int32(i)) {
				continue
			}
			if c := p.penaltyOf(int32(i), chosen, none); best == none || c < least {
				best, least = int32(i), c
			}
		}
		if best == none {
			break
		}
		chosen = append(chosen, member{node: best})
		sum += least
		p.ideal = append(p.ideal, sum)
	}
}

func has(members []member, n int32) bool {
	for _, m := range members {
		if m.node == n {
			return true
		}
	}
	return false
}

// penaltyOf is what a replica on node n shares with the members but one.
func (p *planner) penaltyOf(n int32, members []member, but int32) int {
	sum, row := 0, p.shared[int(n)*len(p.nodes):]
	for _, m := range members {
		if m.node != but && m.node != n {
			sum += int(row[m.node])
		}
	}
	return sum
}

// penalty is what the members share pairwise: the fewer failures hit several
// replicas, the smaller.
func (p *planner) penalty(members []member) int {
	sum := 0
	for _, m := range members {
		sum += p.penaltyOf(m.node, members, none)
	}
	return sum / 2
}

// misplaced reports whether replicas of the range could share less.
func (p *planner) misplaced(r *ranged) bool {
	k := len(r.members)
	return k < len(p.ideal) && p.penalty(r.members) > p.ideal[k]
}

// spread moves the replica that shares most to where it shares least.
func (p *planner) spread(r *ranged) {
	now := p.penalty(r.members)
	from, to, least := none, none, now
	for _, m := range r.members {
		t := p.pick(r, m.node)
		if t == none {
			continue
		}
		after := now - p.penaltyOf(m.node, r.members, none) + p.penaltyOf(t, r.members, m.node)
		if after < least {
			from, to, least = m.node, t, after
		}
	}
	if to == none {
		return
	}
	other := p.neighbour(r, from)
	p.emit(r, operator.Spread, fmt.Sprintf("%s (%s) shares more with %s (%s) than %s (%s) would",
		p.nodes[from].name, place(p.nodes[from].Record.Locality), p.nodes[other].name, place(p.nodes[other].Record.Locality),
		p.nodes[to].name, place(p.nodes[to].Record.Locality)), p.moveSteps(r, from, to))
}

// neighbour is the member that shares most with n.
func (p *planner) neighbour(r *ranged, n int32) int32 {
	best, most := n, -1
	for _, m := range r.members {
		if c := int(p.shared[int(n)*len(p.nodes)+int(m.node)]); m.node != n && c > most {
			best, most = m.node, c
		}
	}
	return best
}
