package plan

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// balanceLeaders evens out how many ranges each node leads. A leadership can
// only go where the range has a replica, so from the node that leads most to
// the one that leads least it may take a chain of transfers, each of another
// range.
func (p *planner) balanceLeaders() {
	can := p.leading()
	if len(can) < 2 {
		return
	}
	p.gap = p.leaderGap(can)
	if !p.uneven(can, p.gap) {
		return
	}
	g := p.transferGraph()
	for range len(p.ranges) {
		chain := g.chain(p, can, p.gap)
		if chain == nil {
			return
		}
		first, last := &p.nodes[chain[0]], &p.nodes[chain[len(chain)-1]]
		why := fmt.Sprintf("%s leads %d ranges, %s %d", first.name, first.leaders, last.name, last.leaders)
		for i := range len(chain) - 1 {
			r := g.at(chain[i], chain[i+1])
			p.emit(r, operator.BalanceLeader, why, p.transferSteps(r, chain[i+1]))
		}
	}
}

func (p *planner) transferSteps(r *ranged, to int32) []operator.Step {
	return []operator.Step{{Kind: operator.TransferLeader, Range: r.id, Node: p.nodes[to].id}}
}

// leading lists the nodes that may lead.
func (p *planner) leading() []int32 {
	var can []int32
	for i := range p.nodes {
		if p.nodes[i].leads {
			can = append(can, int32(i))
		}
	}
	return can
}

// leaderShare of the mean, or less than two, is a difference that is left
// alone (I4).
const leaderShare = 0.1

// leaderGap is the smallest difference between two nodes that is acted upon.
func (p *planner) leaderGap(can []int32) int {
	sum := 0
	for _, n := range can {
		sum += p.nodes[n].leaders
	}
	return max(2, int(leaderShare*float64(sum)/float64(len(can))))
}

func (p *planner) uneven(can []int32, gap int) bool {
	low, high := p.nodes[can[0]].leaders, p.nodes[can[0]].leaders
	for _, n := range can {
		low, high = min(low, p.nodes[n].leaders), max(high, p.nodes[n].leaders)
	}
	return high-low >= gap
}

// graph has an edge from node a to b for each range that a leads, where b
// votes.
type graph struct {
	n     int
	edges [][]*ranged // by a*n+b
}

// edgeRanges bounds the ranges kept for one edge.
const edgeRanges = 4

func (p *planner) transferGraph() *graph {
	g := &graph{n: len(p.nodes), edges: make([][]*ranged, len(p.nodes)*len(p.nodes))}
	for i := range p.ranges {
		r := &p.ranges[i]
		if !p.handable(r) || p.nodes[r.leader].handing >= handovers {
			continue
		}
		for _, m := range r.members {
			if m.node == r.leader || m.role != pontoonpb.ReplicaRole_REPLICA_VOTER || !p.nodes[m.node].leads {
				continue
			}
			e := &g.edges[int(r.leader)*g.n+int(m.node)]
			if len(*e) < edgeRanges {
				*e = append(*e, r)
			} else if i := p.worst(*e, r.leader, m.node); p.fit(r, r.leader, m.node) < p.fit((*e)[i], r.leader, m.node) {
				(*e)[i] = r
			}
		}
	}
	return g
}

// movable reports whether a range may be touched to balance.
func (p *planner) movable(r *ranged) bool {
	return !r.busy && r.issue == healthy && !r.rest.Resting(operator.Balance, p.now)
}

// handable reports whether a leadership may be moved to balance. That of the
// root range may not: with it the sequencer moves, and the driver of this plan.
func (p *planner) handable(r *ranged) bool { return p.movable(r) && !p.root(r) }

// fit is small for a range whose load evens out two nodes.
func (p *planner) fit(r *ranged, a, b int32) float64 {
	off := max(0, (p.nodes[a].load-p.nodes[b].load)/2) - cost(r.Status.Load)
	return max(off, -off)
}

func (p *planner) worst(list []*ranged, a, b int32) int {
	worst := 0
	for i := range list {
		if p.fit(list[i], a, b) > p.fit(list[worst], a, b) {
			worst = i
		}
	}
	return worst
}

// at returns a range that can move its leadership from a to b.
func (g *graph) at(a, b int32) *ranged {
	for _, r := range g.edges[int(a)*g.n+int(b)] {
		if !r.busy {
			return r
		}
	}
	return nil
}

// chain finds the way from the node that leads most to the one that leads
// least of those in reach. Nil: no difference is worth a transfer.
func (g *graph) chain(p *planner, can []int32, gap int) []int32 {
	order := sortedBy(can, func(n int32) float64 { return -float64(p.nodes[n].leaders) })
	lowest := p.nodes[order[len(order)-1]].leaders
	for _, from := range order {
		if p.nodes[from].leaders-lowest < gap {
			return nil
		}
		if p.nodes[from].handing >= handovers {
			continue
		}
		if chain := g.search(p, can, from, gap); chain != nil {
			return chain
		}
	}
	return nil
}

// search walks the graph from a node, the shortest way first.
func (g *graph) search(p *planner, can []int32, from int32, gap int) []int32 {
	before := make([]int32, g.n)
	for i := range before {
		before[i] = none
	}
	before[from] = from
	best, queue := none, []int32{from}
	for len(queue) > 0 {
		a := queue[0]
		queue = queue[1:]
		if a != from && p.nodes[from].leaders-p.nodes[a].leaders >= gap &&
			(best == none || p.nodes[a].leaders < p.nodes[best].leaders) {
			best = a
		}
		if p.nodes[a].handing >= handovers {
			continue
		}
		for _, b := range can {
			if before[b] == none && g.at(a, b) != nil {
				before[b] = a
				queue = append(queue, b)
			}
		}
	}
	if best == none {
		return nil
	}
	chain := []int32{best}
	for chain[0] != from {
		chain = append([]int32{before[chain[0]]}, chain...)
	}
	return chain
}
