package plan

import (
	"slices"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	// roomFactor times the size of a range must be free where it goes.
	roomFactor = 2
	// handovers is how many leaderships may be leaving a node at a time.
	handovers = 8
)

// pick returns the best node for a replica that replaces the one on from
// (none: is added): where it shares least, then where it is emptiest. None if
// there is no such node, or all are at their limit of moves.
func (p *planner) pick(r *ranged, from int32) int32 {
	best, least := none, 0
	for i := range p.nodes {
		t := int32(i)
		if !p.canHold(r, t) {
			continue
		}
		c := p.penaltyOf(t, r.members, from)
		switch {
		case best == none || c < least:
			best, least = t, c
		case c == least && p.better(t, best):
			best = t
		}
	}
	if best == none || !p.slot(r, best) {
		return none
	}
	return best
}

// better prefers a node that may take a move now, then the emptier one.
func (p *planner) better(a, b int32) bool {
	x, y := &p.nodes[a], &p.nodes[b]
	if free := p.free(x); free != p.free(y) {
		return free
	}
	return x.weight < y.weight
}

// canHold reports whether a new replica of the range may go to a node (I2).
func (p *planner) canHold(r *ranged, t int32) bool {
	n := &p.nodes[t]
	return n.target && !r.on(t) && (n.DiskTotal == 0 || float64(n.DiskFree) > roomFactor*r.weight())
}

func (p *planner) free(n *node) bool { return n.moves < int(p.view.Settings.MovesPerNode) }

// slot reports whether data may go from the range's leader to a node (I5).
func (p *planner) slot(r *ranged, to int32) bool {
	return p.free(&p.nodes[to]) && p.free(&p.nodes[r.leader])
}

// moveSteps moves a replica; from none: adds one.
func (p *planner) moveSteps(r *ranged, from, to int32) []operator.Step {
	node := p.nodes[to].id
	steps := []operator.Step{
		{Kind: operator.AddLearner, Range: r.id, Node: node},
		{Kind: operator.WaitCaughtUp, Range: r.id, Node: node},
	}
	if from == none {
		return append(steps, operator.Step{Kind: operator.Promote, Range: r.id, Node: node})
	}
	old := p.nodes[from].id
	if r.leader == from && r.voters() > 1 {
		steps = append(steps, operator.Step{Kind: operator.LeaveLeader, Range: r.id, Node: old})
	}
	return append(steps,
		operator.Step{Kind: operator.Swap, Range: r.id, Node: node, Old: old},
		operator.Step{Kind: operator.RemoveLearner, Range: r.id, Node: old})
}

// removeSteps takes a replica away.
func (p *planner) removeSteps(r *ranged, from int32) []operator.Step {
	node := p.nodes[from].id
	var steps []operator.Step
	if r.leader == from {
		steps = append(steps, operator.Step{Kind: operator.LeaveLeader, Range: r.id, Node: node})
	}
	if r.votes(from) {
		steps = append(steps, operator.Step{Kind: operator.Demote, Range: r.id, Node: node})
	}
	return append(steps, operator.Step{Kind: operator.RemoveLearner, Range: r.id, Node: node})
}

// emit adds an operator and counts it as running (I1).
func (p *planner) emit(r *ranged, kind operator.Kind, reason string, steps []operator.Step) {
	o := &operator.Operator{Range: r.id, Kind: kind, Reason: reason, Steps: steps}
	p.ops = append(p.ops, o)
	r.busy = true
	for _, s := range steps {
		if s.Range == r.id {
			p.anticipateStep(r, s)
		}
	}
}

// learner returns a replica without a vote on a node that may keep it.
func (p *planner) learner(r *ranged) int32 {
	i := slices.IndexFunc(r.members, func(m member) bool {
		return m.role == pontoonpb.ReplicaRole_REPLICA_LEARNER && p.nodes[m.node].leads
	})
	if i < 0 {
		return none
	}
	return r.members[i].node
}

// quorum reports whether enough voters answer to change anything.
func (p *planner) quorum(r *ranged) bool {
	live := 0
	for _, m := range r.members {
		if m.role == pontoonpb.ReplicaRole_REPLICA_VOTER && p.nodes[m.node].Live {
			live++
		}
	}
	return live > r.voters()/2
}

func (p *planner) root(r *ranged) bool { return r.id == proto.RootRange }
