package plan

import (
	"fmt"
	"slices"

	"github.com/pontoon-kv/pontoon/placement/operator"
)

const (
	// sizeShare of the mean weight is a difference that is left alone (I4).
	sizeShare = 0.1
	// betterBy: a replica is moved only if it is this much lighter than the
	// difference, so that moving it back would not be worth it.
	betterBy = 1.25
)

// balanceSize evens out how much each node holds.
func (p *planner) balanceSize() {
	var can []int32
	var sum float64
	for i := range p.nodes {
		if p.nodes[i].target {
			can = append(can, int32(i))
			sum += p.nodes[i].weight
		}
	}
	if len(can) < 2 {
		return
	}
	least := p.sizeGap(sum / float64(len(can)))
	order := sortedBy(can, func(n int32) float64 { return -p.nodes[n].weight })
	lightest := order[len(order)-1]
	for _, from := range order {
		if p.nodes[from].weight-p.nodes[lightest].weight < least {
			return
		}
		p.lighten(from, order, least)
	}
}

// sizeGap is the smallest difference between two nodes that is acted upon.
func (p *planner) sizeGap(mean float64) float64 { return max(sizeShare*mean, betterBy*replicaWeight) }

// lighten moves replicas away from a node to those that hold least. Replicas
// that lead stay if there are others.
func (p *planner) lighten(from int32, order []int32, least float64) {
	targets := slices.Clone(order)
	sorted := false
	for _, led := range []bool{false, true} {
		for _, i := range p.heldBy(from) {
			r := &p.ranges[i]
			if (r.leader == from) != led || led && !p.handable(r) || !p.movable(r) || !r.votes(from) || !p.free(&p.nodes[r.leader]) {
				continue
			}
			if !sorted {
				slices.SortStableFunc(targets, func(a, b int32) int { return compare(p.nodes[a].weight, p.nodes[b].weight) })
				sorted = true
			}
			free := p.lightestFree(targets)
			if free == none || p.nodes[from].weight-p.nodes[free].weight < least {
				return
			}
			sorted = !p.shift(r, from, targets, least)
		}
	}
}

// heldBy lists the ranges with a replica on a node.
func (p *planner) heldBy(n int32) []int32 {
	if p.held == nil {
		p.held = make([][]int32, len(p.nodes))
		for i := range p.ranges {
			for _, m := range p.ranges[i].members {
				p.held[m.node] = append(p.held[m.node], int32(i))
			}
		}
	}
	return p.held[n]
}

// lightestFree returns the lightest node that may take a move now.
func (p *planner) lightestFree(targets []int32) int32 {
	for _, t := range targets {
		if p.free(&p.nodes[t]) {
			return t
		}
	}
	return none
}

// shift moves one replica to the lightest node that takes it, if there is one.
func (p *planner) shift(r *ranged, from int32, targets []int32, least float64) bool {
	now := p.penaltyOf(from, r.members, none)
	for _, t := range targets {
		gap := p.nodes[from].weight - p.nodes[t].weight
		if gap < least || gap < betterBy*r.weight() {
			return false
		}
		if !p.canHold(r, t) || !p.free(&p.nodes[t]) || p.penaltyOf(t, r.members, from) > now {
			continue
		}
		p.emit(r, operator.BalanceSize, fmt.Sprintf("%s holds %s, %s %s", p.nodes[from].name, p.nodes[from].holds(),
			p.nodes[t].name, p.nodes[t].holds()), p.moveSteps(r, from, t))
		return true
	}
	return false
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// sortedBy returns the nodes in rising order of a figure, by id where equal.
func sortedBy(nodes []int32, figure func(int32) float64) []int32 {
	sorted := slices.Clone(nodes)
	slices.SortStableFunc(sorted, func(a, b int32) int { return compare(figure(a), figure(b)) })
	return sorted
}
