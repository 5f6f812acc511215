package plan

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Move plans a move that a person asks for: from none only adds, to none only
// removes. Refused says why not.
func Move(v *View, id proto.RangeID, from, to proto.NodeID) (o *operator.Operator, refused string) {
	p := newPlanner(v)
	r, refused := p.touchable(id)
	if refused != "" {
		return nil, refused
	}
	if from == 0 && to == 0 {
		return nil, "neither a node to move from nor one to move to is named"
	}
	f, t := none, none
	if from != 0 {
		if f, refused = p.source(r, from, to); refused != "" {
			return nil, refused
		}
	}
	if to != 0 {
		if t, refused = p.destination(r, to); refused != "" {
			return nil, refused
		}
	}
	switch {
	case f == none && r.voters() >= p.want(r):
		return nil, fmt.Sprintf("range %d has the %d replicas that it should have: move one instead", id, p.want(r))
	case t == none:
		p.emit(r, operator.Move, "asked for", p.removeSteps(r, f))
	default:
		p.emit(r, operator.Move, "asked for", p.moveSteps(r, f, t))
	}
	return p.ops[0], ""
}

// touchable returns a range that an operator may be made for.
func (p *planner) touchable(id proto.RangeID) (r *ranged, refused string) {
	if r = p.find(id); r == nil {
		return nil, fmt.Sprintf("range %d is not known", id)
	}
	for _, o := range p.view.Running {
		for _, other := range o.Ranges() {
			if other == id {
				return nil, fmt.Sprintf("operator %d (%s) works on range %d: cancel it or wait", o.ID, o.Kind, id)
			}
		}
	}
	switch {
	case r.leader == none:
		return nil, fmt.Sprintf("range %d has no leader that answers", id)
	case r.busy:
		return nil, fmt.Sprintf("range %d is in the middle of a change: try again", id)
	}
	return r, ""
}

func (p *planner) source(r *ranged, from, to proto.NodeID) (int32, string) {
	i, known := p.index[from]
	switch {
	case !known:
		return none, fmt.Sprintf("node %x is not a member of the cluster", uint64(from))
	case !r.on(i):
		return none, fmt.Sprintf("%s has no replica of range %d", p.nodes[i].name, r.id)
	case to == 0 && r.votes(i) && r.voters() == 1:
		return none, fmt.Sprintf("%s has the last replica of range %d", p.nodes[i].name, r.id)
	}
	return i, ""
}

func (p *planner) destination(r *ranged, to proto.NodeID) (int32, string) {
	i, known := p.index[to]
	if !known {
		return none, fmt.Sprintf("node %x is not a member of the cluster", uint64(to))
	}
	n := &p.nodes[i]
	switch {
	case r.votes(i):
		return none, fmt.Sprintf("%s has a replica of range %d already", n.name, r.id)
	case n.standing == removed:
		return none, n.name + " was removed from the cluster"
	case n.Record.State == pontoonpb.NodeState_NODE_DRAINING:
		return none, n.name + " is draining"
	case n.Record.Learner:
		return none, n.name + " is a learner member: it holds no replicas until it is promoted"
	case !n.Live:
		return none, n.name + " does not answer"
	case !r.on(i) && !p.canHold(r, i):
		return none, n.name + " has too little free disk space"
	}
	return i, ""
}

// Merge plans the merge of a range with its right neighbour that a person asks
// for.
func Merge(v *View, id proto.RangeID) (o *operator.Operator, refused string) {
	p := newPlanner(v)
	left, refused := p.touchable(id)
	if refused != "" {
		return nil, refused
	}
	if p.root(left) {
		return nil, "the root range is never merged"
	}
	var right *ranged
	for i := range p.ranges {
		if string(p.ranges[i].Status.Desc.Span.GetStart()) == string(left.Status.Desc.Span.GetEnd()) {
			right = &p.ranges[i]
		}
	}
	switch {
	case right == nil:
		return nil, fmt.Sprintf("range %d has no right neighbour that is known", id)
	case !neighbours(left, right):
		return nil, fmt.Sprintf("range %d and its right neighbour hold different things: leases and keys are never merged", id)
	}
	if _, refused = p.touchable(right.id); refused != "" {
		return nil, refused
	}
	steps := p.mergeSteps(left, right)
	if steps == nil {
		return nil, fmt.Sprintf("the replicas of ranges %d and %d cannot be brought together now: "+
			"a node is busy, leaving, full or does not answer", left.id, right.id)
	}
	p.emitMerge(left, right, operator.MergeManual, "asked for", steps)
	return p.ops[0], ""
}
