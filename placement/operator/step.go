package operator

import (
	"bytes"
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// StepKind is what a step makes true.
type StepKind uint8

// Kinds of steps.
const (
	AddLearner     StepKind = iota // Node has a replica
	WaitCaughtUp                   // the replica of Node has nearly the whole log
	Promote                        // Node votes
	Swap                           // Node votes and Old does not: one joint change
	Demote                         // Node does not vote
	RemoveLearner                  // Node has no replica
	TransferLeader                 // Node leads
	LeaveLeader                    // somebody else than Node leads
	SplitAt                        // the range ends at a key that halves it
	MergeRight                     // the range has taken in its right neighbour
)

// Step is one checkable step. It is about one range; the ranges of one
// operator's steps may differ.
type Step struct {
	Kind  StepKind
	Range proto.RangeID
	Node  proto.NodeID
	Old   proto.NodeID      // Swap
	By    pontoonpb.SplitBy // SplitAt
	Right proto.RangeID     // MergeRight
	Key   []byte            // MergeRight: where the two meet
}

// limits of steps without progress (I4).
var limits = [...]time.Duration{
	AddLearner: 30 * time.Second, WaitCaughtUp: 2 * time.Minute, Promote: 30 * time.Second,
	Swap: 30 * time.Second, Demote: 30 * time.Second, RemoveLearner: 30 * time.Second,
	TransferLeader: 20 * time.Second, LeaveLeader: 20 * time.Second,
	SplitAt: 30 * time.Second, MergeRight: time.Minute,
}

// weights of steps in the progress of the operator: data takes the time.
var weights = [...]float64{
	AddLearner: 1, WaitCaughtUp: 20, Promote: 1, Swap: 1, Demote: 1, RemoveLearner: 1,
	TransferLeader: 1, LeaveLeader: 1, SplitAt: 1, MergeRight: 1,
}

// Text says what the step does.
func (s Step) Text(name func(proto.NodeID) string) string {
	switch s.Kind {
	case AddLearner:
		return fmt.Sprintf("add a replica of range %d without a vote on %s", s.Range, name(s.Node))
	case WaitCaughtUp:
		return fmt.Sprintf("send the data to %s", name(s.Node))
	case Promote:
		return fmt.Sprintf("give %s a vote", name(s.Node))
	case Swap:
		return fmt.Sprintf("give %s the vote of %s", name(s.Node), name(s.Old))
	case Demote:
		return fmt.Sprintf("take the vote of %s", name(s.Node))
	case RemoveLearner:
		return fmt.Sprintf("remove the replica on %s", name(s.Node))
	case TransferLeader:
		return fmt.Sprintf("make %s lead range %d", name(s.Node), s.Range)
	case LeaveLeader:
		return fmt.Sprintf("move the leadership of range %d away from %s", s.Range, name(s.Node))
	case SplitAt:
		return fmt.Sprintf("split range %d", s.Range)
	default:
		return fmt.Sprintf("merge range %d into range %d", s.Right, s.Range)
	}
}

// move is what a step wants done next: an operation, or done, or why not. All
// zero: wait.
type move struct {
	done   bool
	op     *pontoonpb.RangeOp
	needID bool
	fail   string
}

// judge compares the step with what the leader of its range says (I1).
func (o *Operator) judge(s Step, seen *pontoonpb.RangeStatus) move {
	d := seen.Desc
	switch s.Kind {
	case SplitAt:
		return o.judgeSplit(s, d)
	case MergeRight:
		switch {
		case bytes.Compare(d.Span.End, s.Key) > 0:
			return move{done: true}
		case bytes.Compare(d.Span.End, s.Key) < 0:
			return move{fail: fmt.Sprintf("range %d was split meanwhile", s.Range)}
		}
		return send(d, &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Merge{
			Merge: &pontoonpb.MergeOp{RightRangeId: uint64(s.Right)}}})
	case TransferLeader:
		if proto.NodeID(seen.LeaderNode) == s.Node {
			return move{done: true}
		}
		if !votes(d, s.Node) {
			return move{fail: "the node that should lead has no vote"}
		}
		return transfer(d, s.Node)
	case LeaveLeader:
		return leave(seen, s.Node, 0)
	}
	if joint(d) {
		return move{} // the leader leaves it by itself
	}
	return judgeReplicas(s, seen)
}

// judgeReplicas judges steps that change or need the replicas.
func judgeReplicas(s Step, seen *pontoonpb.RangeStatus) move {
	d := seen.Desc
	role, has := roleOn(d, s.Node)
	switch s.Kind {
	case AddLearner:
		if has {
			return move{done: true}
		}
		return change(d, step(pontoonpb.ReplicaStepKind_REPLICA_ADD_LEARNER, s.Node))
	case WaitCaughtUp:
		if !has {
			return move{fail: "the new replica was removed meanwhile"}
		}
		return move{done: role == pontoonpb.ReplicaRole_REPLICA_VOTER || caughtUp(seen, s.Node)}
	case Promote:
		switch {
		case !has:
			return move{fail: "the new replica was removed meanwhile"}
		case role == pontoonpb.ReplicaRole_REPLICA_VOTER:
			return move{done: true}
		}
		return change(d, step(pontoonpb.ReplicaStepKind_REPLICA_PROMOTE, s.Node))
	case Swap:
		return judgeSwap(s, seen)
	case Demote:
		if !votes(d, s.Node) {
			return move{done: true}
		}
		return demote(seen, s.Node, 0)
	default: // RemoveLearner
		switch {
		case !has:
			return move{done: true}
		case role != pontoonpb.ReplicaRole_REPLICA_LEARNER:
			return move{fail: "the replica to remove votes again"}
		}
		return change(d, step(pontoonpb.ReplicaStepKind_REPLICA_REMOVE, s.Node))
	}
}

func judgeSwap(s Step, seen *pontoonpb.RangeStatus) move {
	in, out := votes(seen.Desc, s.Node), votes(seen.Desc, s.Old)
	_, has := roleOn(seen.Desc, s.Node)
	switch {
	case in && !out:
		return move{done: true}
	case !has:
		return move{fail: "the new replica was removed meanwhile"}
	case in:
		return demote(seen, s.Old, s.Node)
	case !out:
		return change(seen.Desc, step(pontoonpb.ReplicaStepKind_REPLICA_PROMOTE, s.Node))
	case proto.NodeID(seen.LeaderNode) == s.Old && voters(seen.Desc) > 1:
		return leave(seen, s.Old, 0)
	case proto.NodeID(seen.LeaderNode) == s.Old: // the only voter: another one first (I2)
		return change(seen.Desc, step(pontoonpb.ReplicaStepKind_REPLICA_PROMOTE, s.Node))
	}
	return change(seen.Desc, step(pontoonpb.ReplicaStepKind_REPLICA_PROMOTE, s.Node),
		step(pontoonpb.ReplicaStepKind_REPLICA_DEMOTE, s.Old))
}

// demote takes a node's vote, after its leadership and never the last one (I2).
func demote(seen *pontoonpb.RangeStatus, node, prefer proto.NodeID) move {
	if voters(seen.Desc) == 1 {
		return move{fail: "it is the last replica with a vote"}
	}
	if proto.NodeID(seen.LeaderNode) == node {
		return leave(seen, node, prefer)
	}
	return change(seen.Desc, step(pontoonpb.ReplicaStepKind_REPLICA_DEMOTE, node))
}

// leave moves the leadership to the voter that is furthest, to prefer if that
// one has a vote and answers.
func leave(seen *pontoonpb.RangeStatus, from, prefer proto.NodeID) move {
	if proto.NodeID(seen.LeaderNode) != from {
		return move{done: true}
	}
	if p := progressOf(seen, prefer); p.GetActive() && votes(seen.Desc, prefer) {
		return transfer(seen.Desc, prefer)
	}
	var best *pontoonpb.ReplicaProgress
	for _, p := range seen.Progress {
		if proto.NodeID(p.NodeId) != from && p.Active && votes(seen.Desc, proto.NodeID(p.NodeId)) &&
			(best == nil || p.Match > best.Match) {
			best = p
		}
	}
	switch {
	case best != nil:
		return transfer(seen.Desc, proto.NodeID(best.NodeId))
	case voters(seen.Desc) == 1:
		return move{fail: "no other replica has a vote"}
	default:
		return move{} // until another voter answers
	}
}

// judgeSplit asks for a key, then for an id, then for the split.
func (o *Operator) judgeSplit(s Step, d *pontoonpb.Descriptor) move {
	switch {
	case o.splitKey == nil:
		return send(d, &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_SplitPoint{
			SplitPoint: &pontoonpb.SplitPointOp{By: s.By}}})
	case bytes.Compare(d.Span.End, o.splitKey) <= 0:
		return move{done: true}
	case bytes.Compare(d.Span.Start, o.splitKey) >= 0:
		return move{fail: "the range starts behind the key by now"}
	case o.rightID == 0:
		return move{needID: true}
	}
	return send(d, &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Split{
		Split: &pontoonpb.SplitOp{Key: o.splitKey, RightRangeId: uint64(o.rightID)}}})
}
