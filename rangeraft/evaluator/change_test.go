package evaluator

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	addLearner = pontoonpb.ReplicaStepKind_REPLICA_ADD_LEARNER
	promote    = pontoonpb.ReplicaStepKind_REPLICA_PROMOTE
	demote     = pontoonpb.ReplicaStepKind_REPLICA_DEMOTE
	remove     = pontoonpb.ReplicaStepKind_REPLICA_REMOVE
)

// replicasOf reads "1v 2l": replica 1 on node 1 votes, replica 2 on node 2 learns.
func replicasOf(text string) (reps []*pontoonpb.Replica) {
	roles := map[string]pontoonpb.ReplicaRole{"v": 0, "l": 1, "i": 2, "o": 3}
	for _, f := range strings.Fields(text) {
		rep := &pontoonpb.Replica{Role: roles[f[len(f)-1:]]}
		fmt.Sscan(f[:len(f)-1], &rep.NodeId)
		rep.ReplicaId = rep.NodeId
		reps = append(reps, rep)
	}
	return reps
}

func showReplicas(reps []*pontoonpb.Replica) string {
	var out []string
	for _, r := range reps {
		out = append(out, fmt.Sprintf("%d%c", r.ReplicaId, "vlio"[r.Role]))
	}
	return strings.Join(out, " ")
}

// replicatedRig is a user rig of a range with replicas, led by the first.
func replicatedRig(t *testing.T, reps string) *rig {
	r := userRig(t)
	r.m.desc.Replicas, r.m.desc.NextReplicaId = replicasOf(reps), 10
	r.lead(2)
	return r
}

func change(generation uint64, steps ...any) *pontoonpb.RangeOp {
	op := &pontoonpb.ChangeReplicasOp{Generation: generation}
	for i := 0; i < len(steps); i += 2 {
		op.Steps = append(op.Steps, &pontoonpb.ReplicaStep{
			Kind: steps[i].(pontoonpb.ReplicaStepKind), NodeId: uint64(steps[i+1].(int))})
	}
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_ChangeReplicas{ChangeReplicas: op}}
}

// P12, P15: a change waits until the range is drained and nothing is evaluated
// beside it; what follows names the generation it made.
func TestP12ChangeIsABarrier(t *testing.T) {
	r := replicatedRig(t, "1v 2v 3v")
	w := r.submit(put("a", "1"))
	r.grant()
	id := r.submit(change(1, addLearner, 4), put("b", "2"))
	equal(t, "in flight beside a write", len(r.log), 1)
	r.apply()
	r.revision(w)
	equal(t, "in flight", len(r.log), 1)
	equal(t, "change", showReplicas(r.log[0].Change.Replicas), "1v 2v 3v 10l")
	equal(t, "asks beside the change", len(r.asks), 0)
	r.unanswered(id, id+1)
	r.apply()
	equal(t, "generation", r.reply(id).GetChangeReplicas().Desc.Generation, 2)
	r.grant()
	equal(t, "generation named", r.log[0].Generation, 2)
	r.apply()
	r.revision(id + 1)
}

// Several votes change through a joint configuration, which is left before
// anything else is evaluated, also by a leader that finds it.
func TestJointIsLeftFirst_P12(t *testing.T) {
	for _, newLeader := range []bool{false, true} {
		r := replicatedRig(t, "1v 2v 3v 4l")
		id := r.submit(change(1, promote, 4, demote, 3), put("b", "2"))
		equal(t, "joint", showReplicas(r.log[0].Change.Replicas), "1v 2v 3o 4i")
		if newLeader {
			r.m.apply(2, r.log[0])
			r.ev.Fail(fmt.Errorf("lost"))
			r.drain()
			r.code(id, pontoonpb.RangeErrorCode_AMBIGUOUS)
			r.log = nil
			r.lead(3)
			r.submit(put("b", "2"))
		} else {
			r.apply()
			r.code(id, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
		}
		equal(t, "asked while joint", len(r.asks), 0)
		equal(t, "in flight", len(r.log), 1)
		equal(t, "left", showReplicas(r.log[0].Change.Replicas), "1v 2v 3l 4v")
		r.apply()
		equal(t, "generation", r.m.desc.Generation, 3)
		r.grant()
		r.apply()
		equal(t, "b", r.get("b"), "2")
	}
}

// A leader that would lose its vote does not leave: its successor does.
func TestOutgoingLeaderDoesNotLeave(t *testing.T) {
	r := userRig(t)
	r.m.desc.Replicas, r.m.desc.NextReplicaId = replicasOf("1o 2i"), 10
	ev, err := New(Options{Term: 2, Replica: 1, Descriptor: r.m.desc, Closed: 10, State: r.m, Numbers: r})
	if err != nil {
		t.Fatal(err)
	}
	r.ev = ev
	r.submit(put("a", "1"))
	equal(t, "in flight", len(r.log), 0)
	r.grant()
	r.apply()
	equal(t, "a", r.get("a"), "1")
}

// A refused proposal to leave is repeated at the next tick, not at once.
func TestRefusedLeaveIsRepeated(t *testing.T) {
	r := replicatedRig(t, "1v 2o 3i")
	r.drain()
	equal(t, "in flight", len(r.log), 1)
	batch := r.log[0].Batch
	r.log = nil
	r.ev.Dropped(batch)
	r.drain()
	equal(t, "repeated at once", len(r.log), 0)
	r.ev.Tick(r.now + 1)
	r.drain()
	equal(t, "repeated", len(r.log), 1)
}

// P45: ids are given out once; what makes no sense is refused with a reason.
func TestPlanChange_P45(t *testing.T) {
	for _, s := range []struct {
		reps  string
		op    *pontoonpb.RangeOp
		want  string // empty: refused
		cause string
	}{
		{"1v 2v 3v", change(1, addLearner, 4, addLearner, 5), "1v 2v 3v 10l 11l", ""},
		{"1v 2v 3v 4l", change(1, promote, 4), "1v 2v 3v 4v", ""},
		{"1v 2v 3v", change(1, demote, 3), "1v 2v 3l", ""},
		{"1v 2v 3l", change(1, remove, 3), "1v 2v", ""},
		{"1v 2l", change(1, promote, 2, demote, 1), "1o 2i", ""},
		{"1v 2v 3v 4l", change(1, demote, 3, addLearner, 5, promote, 4), "1v 2v 3o 4i 10l", ""},
		{"1v 2v 3v", change(2, addLearner, 4), "", "generation 1, not 2"},
		{"1v 2v 3v", change(1), "", "no steps"},
		{"1v 2v 3v", change(1, addLearner, 3), "", "has a replica already"},
		{"1v 2v 3l", change(1, addLearner, 3), "", "has a replica already"},
		{"1v 2v 3v", change(1, promote, 4), "", "has no replica"},
		{"1v 2v 3v", change(1, promote, 3), "", "votes already"},
		{"1v 2v 3v", change(1, remove, 3), "", "becomes a learner first"},
		{"1v 2v 3l", change(1, demote, 3), "", "has no vote"},
		{"1v 2l", change(1, demote, 1), "", "last voter"},
		{"1v 2v 3l", change(1, remove, 3, promote, 3), "", "two steps"},
		{"1v 2o 3i", change(1, addLearner, 4), "", "under way"},
	} {
		r := replicatedRig(t, s.reps)
		r.ev.leaveHeld = true
		id := r.submit(s.op)
		if s.want == "" {
			r.code(id, pontoonpb.RangeErrorCode_REFUSED)
			if m := r.reply(id).Error.Message; !strings.Contains(m, s.cause) {
				t.Errorf("%s %v: refused with %q", s.reps, s.op, m)
			}
			continue
		}
		equal(t, s.reps, showReplicas(r.log[0].Change.Replicas), s.want)
		if Joint(&pontoonpb.Descriptor{Replicas: r.log[0].Change.Replicas}) != strings.ContainsAny(s.want, "io") {
			t.Errorf("joint? %s", s.want)
		}
	}
}

// A split waits for the end of a change.
func TestSplitRefusedWhileJoint(t *testing.T) {
	r := replicatedRig(t, "1v 2o 3i")
	r.ev.leaveHeld = true
	r.code(r.submit(split("m")), pontoonpb.RangeErrorCode_REFUSED)
}
