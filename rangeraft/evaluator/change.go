package evaluator

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Joint reports whether a range is between two configurations.
func Joint(d *pontoonpb.Descriptor) bool {
	for _, r := range d.GetReplicas() {
		if r.Role == pontoonpb.ReplicaRole_REPLICA_INCOMING || r.Role == pontoonpb.ReplicaRole_REPLICA_OUTGOING {
			return true
		}
	}
	return false
}

// evalChange proposes other replicas, alone and over a drained range as a
// split is: entries after it name the generation that it makes (P12, P15).
func (e *Evaluator) evalChange(b *batch, op *pontoonpb.ChangeReplicasOp) (*member, error) {
	if op.Generation != e.desc.Generation {
		return nil, refusef("the range is of generation %d, not %d", e.desc.Generation, op.Generation)
	}
	if Joint(e.desc) {
		return nil, refusef("another change of the replicas is under way")
	}
	if e.merging.record != nil {
		return nil, refusef("the range is being merged")
	}
	change, err := planChange(e.desc, op.Steps)
	if err != nil {
		return nil, refusef("%v", err)
	}
	if !e.drained(b) {
		return nil, errDrain
	}
	b.alone, b.change = true, change
	reply := &pontoonpb.RangeReply_ChangeReplicas{ChangeReplicas: &pontoonpb.ChangeReplicasReply{}}
	return &member{mutates: true, reply: &pontoonpb.RangeReply{Reply: reply}}, nil
}

// planChange returns what the replicas are after the steps. Where several votes
// change, the range goes through a joint configuration.
func planChange(d *pontoonpb.Descriptor, steps []*pontoonpb.ReplicaStep) (*pontoonpb.ReplicaChange, error) {
	todo := map[uint64]pontoonpb.ReplicaStepKind{}
	votes := 0
	for _, s := range steps {
		if _, twice := todo[s.NodeId]; twice {
			return nil, fmt.Errorf("two steps for node %x", s.NodeId)
		}
		todo[s.NodeId] = s.Kind
		if s.Kind == pontoonpb.ReplicaStepKind_REPLICA_PROMOTE || s.Kind == pontoonpb.ReplicaStepKind_REPLICA_DEMOTE {
			votes++
		}
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("no steps")
	}
	out := &pontoonpb.ReplicaChange{NextReplicaId: d.NextReplicaId}
	voters := 0
	for _, r := range d.Replicas {
		role := r.Role
		if kind, ok := todo[r.NodeId]; ok {
			delete(todo, r.NodeId)
			var stays bool
			var err error
			if role, stays, err = stepped(r, kind, votes > 1); err != nil {
				return nil, err
			}
			if !stays {
				continue
			}
		}
		if role == pontoonpb.ReplicaRole_REPLICA_VOTER || role == pontoonpb.ReplicaRole_REPLICA_INCOMING {
			voters++
		}
		out.Replicas = append(out.Replicas, &pontoonpb.Replica{NodeId: r.NodeId, ReplicaId: r.ReplicaId, Role: role})
	}
	if voters == 0 {
		return nil, fmt.Errorf("the last voter stays")
	}
	for _, s := range steps { // what is left, in the order named
		if _, left := todo[s.NodeId]; !left {
			continue
		}
		if s.Kind != pontoonpb.ReplicaStepKind_REPLICA_ADD_LEARNER {
			return nil, fmt.Errorf("node %x has no replica", s.NodeId)
		}
		if s.NodeId == 0 {
			return nil, fmt.Errorf("node id is missing")
		}
		out.Replicas = append(out.Replicas, &pontoonpb.Replica{
			NodeId: s.NodeId, ReplicaId: out.NextReplicaId, Role: pontoonpb.ReplicaRole_REPLICA_LEARNER})
		out.NextReplicaId++ // never given out again (P45)
	}
	return out, nil
}

// stepped is the role of a replica after a step.
func stepped(r *pontoonpb.Replica, kind pontoonpb.ReplicaStepKind, joint bool) (role pontoonpb.ReplicaRole, stays bool, err error) {
	learner := r.Role == pontoonpb.ReplicaRole_REPLICA_LEARNER
	switch kind {
	case pontoonpb.ReplicaStepKind_REPLICA_PROMOTE:
		if !learner {
			return 0, false, fmt.Errorf("node %x votes already", r.NodeId)
		}
		if joint {
			return pontoonpb.ReplicaRole_REPLICA_INCOMING, true, nil
		}
		return pontoonpb.ReplicaRole_REPLICA_VOTER, true, nil
	case pontoonpb.ReplicaStepKind_REPLICA_DEMOTE:
		if learner {
			return 0, false, fmt.Errorf("node %x has no vote", r.NodeId)
		}
		if joint {
			return pontoonpb.ReplicaRole_REPLICA_OUTGOING, true, nil
		}
		return pontoonpb.ReplicaRole_REPLICA_LEARNER, true, nil
	case pontoonpb.ReplicaStepKind_REPLICA_REMOVE:
		if !learner {
			return 0, false, fmt.Errorf("node %x votes: it becomes a learner first", r.NodeId)
		}
		return 0, false, nil
	}
	return 0, false, fmt.Errorf("node %x has a replica already", r.NodeId)
}

// leaveChange ends a joint configuration.
func leaveChange(d *pontoonpb.Descriptor) *pontoonpb.ReplicaChange {
	out := &pontoonpb.ReplicaChange{NextReplicaId: d.NextReplicaId}
	for _, r := range d.Replicas {
		role := r.Role
		switch role {
		case pontoonpb.ReplicaRole_REPLICA_INCOMING:
			role = pontoonpb.ReplicaRole_REPLICA_VOTER
		case pontoonpb.ReplicaRole_REPLICA_OUTGOING:
			role = pontoonpb.ReplicaRole_REPLICA_LEARNER
		}
		out.Replicas = append(out.Replicas, &pontoonpb.Replica{NodeId: r.NodeId, ReplicaId: r.ReplicaId, Role: role})
	}
	return out
}

// leaving ends a joint configuration before anything else is evaluated: the
// leader that made it does, and so does one that finds it. A leader that would
// lose its vote leaves that to its successor. True: nothing may be evaluated now.
func (e *Evaluator) leaving() bool {
	if e.leaveHeld || !Joint(e.desc) || e.outgoing() {
		return false
	}
	if len(e.inflight) == 0 {
		e.lastBatch++
		e.send(&batch{id: e.lastBatch, alone: true, change: leaveChange(e.desc)})
	}
	return true
}

func (e *Evaluator) outgoing() bool {
	for _, r := range e.desc.Replicas {
		if proto.ReplicaID(r.ReplicaId) == e.opts.Replica {
			return r.Role == pontoonpb.ReplicaRole_REPLICA_OUTGOING
		}
	}
	return false
}
