package operator

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// caughtUpEntries is how far a learner may lag behind to count as caught up, a
// part of what its leader lets pass; the rest follows while it is promoted.
const caughtUpEntries = 512

// caughtUp reports whether the leader knows the replica of a node to have
// nearly the whole log.
func caughtUp(seen *pontoonpb.RangeStatus, node proto.NodeID) bool {
	p := progressOf(seen, node)
	return p != nil && p.Active && !p.Snapshot && p.Match > 0 && p.Match+caughtUpEntries >= seen.LastIndex
}

func progressOf(seen *pontoonpb.RangeStatus, node proto.NodeID) *pontoonpb.ReplicaProgress {
	for _, p := range seen.GetProgress() {
		if proto.NodeID(p.NodeId) == node {
			return p
		}
	}
	return nil
}

func roleOn(d *pontoonpb.Descriptor, node proto.NodeID) (role pontoonpb.ReplicaRole, has bool) {
	for _, r := range d.Replicas {
		if proto.NodeID(r.NodeId) == node {
			return r.Role, true
		}
	}
	return 0, false
}

// votes reports whether the node has a vote once the range is not between two
// configurations.
func votes(d *pontoonpb.Descriptor, node proto.NodeID) bool {
	role, has := roleOn(d, node)
	return has && (role == pontoonpb.ReplicaRole_REPLICA_VOTER || role == pontoonpb.ReplicaRole_REPLICA_INCOMING)
}

func voters(d *pontoonpb.Descriptor) int {
	n := 0
	for _, r := range d.Replicas {
		if votes(d, proto.NodeID(r.NodeId)) {
			n++
		}
	}
	return n
}

func joint(d *pontoonpb.Descriptor) bool {
	for _, r := range d.Replicas {
		if r.Role == pontoonpb.ReplicaRole_REPLICA_INCOMING || r.Role == pontoonpb.ReplicaRole_REPLICA_OUTGOING {
			return true
		}
	}
	return false
}

func step(kind pontoonpb.ReplicaStepKind, node proto.NodeID) *pontoonpb.ReplicaStep {
	return &pontoonpb.ReplicaStep{Kind: kind, NodeId: uint64(node)}
}

// change names the generation that it was decided under, so that it does
// nothing to a range that changed since (I1).
func change(d *pontoonpb.Descriptor, steps ...*pontoonpb.ReplicaStep) move {
	return send(d, &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_ChangeReplicas{
		ChangeReplicas: &pontoonpb.ChangeReplicasOp{Generation: d.Generation, Steps: steps}}})
}

func transfer(d *pontoonpb.Descriptor, to proto.NodeID) move {
	return send(d, &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Transfer{
		Transfer: &pontoonpb.TransferOp{ToNode: uint64(to)}}})
}

// send addresses an operation to the whole range, so that it goes nowhere else
// after a split.
func send(d *pontoonpb.Descriptor, op *pontoonpb.RangeOp) move {
	op.RangeId, op.Span = d.RangeId, d.Span
	return move{op: op}
}
