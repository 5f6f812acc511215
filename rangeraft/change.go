package rangeraft

import (
	"context"
	"time"

	"go.etcd.io/raft/v3/tracker"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
)

// A replica change on its way:
//
//	doChange ----> a leader that is to lose its vote hands the lead over first
//	   |
//	objection ---> what raft knows: has the learner caught up, would the new
//	   |           voters have a majority that lives (again in the turn)
//	evaluator ---> barrier, generation, next roles and ids (P12)
//	   |
//	conf change -> applyChange: descriptor and raft's configuration in one step
//	   |
//	joint? ------> the evaluator leaves it before anything else
//
// promoteLag is how many entries a learner may be behind to be given a vote.
const promoteLag = 1024

// patienceTicks is how long a change waits for raft to know enough of the
// replicas, for example right after an election.
const patienceTicks = 4

// doChange changes the replicas and answers with the descriptor once it is
// applied here and no longer joint.
func (r *Replica) doChange(ctx context.Context, op *pontoonpb.RangeOp, c *pontoonpb.ChangeReplicasOp) *pontoonpb.RangeReply {
	if to := r.stepsAside(c); to != 0 {
		if reply := r.doTransfer(ctx, to); reply.Error != nil {
			return reply
		}
		return refusal(proto.NotLeader(to)) // its leader goes on
	}
	r.awaitNoObjection(ctx, c)
	q := newRequest(op)
	q.objection = func() error { return r.objection(c) }
	reply := r.run(ctx, q)
	out := reply.GetChangeReplicas()
	if reply.Error != nil || out == nil || !evaluator.Joint(out.Desc) {
		return reply
	}
	if !r.poll(ctx, func() bool { return r.changedSince(out.Desc.Generation) }) {
		return refusal(proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS,
			"the change is applied, its joint configuration is not left yet"))
	}
	out.Desc = r.desc.Load()
	return reply
}

// changedSince reports whether a later descriptor that is not joint is applied.
func (r *Replica) changedSince(generation uint64) bool {
	d := r.desc.Load()
	return d.Generation > generation && !evaluator.Joint(d)
}

// poll waits until cond holds; false if ctx or the store ends first.
func (r *Replica) poll(ctx context.Context, cond func() bool) bool {
	t := time.NewTicker(max(time.Millisecond, r.s.opts.TickInterval/20))
	defer t.Stop()
	for !cond() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		case <-r.s.ctx.Done():
			return false
		}
	}
	return true
}

// stepsAside returns the node that shall lead before the change is made: a
// leader does not take its own vote as long as there is another voter that
// keeps its. 0: this one makes the change.
func (r *Replica) stepsAside(c *pontoonpb.ChangeReplicasOp) proto.NodeID {
	d := r.desc.Load()
	if d.Generation != c.Generation || !demotes(c, r.s.opts.NodeID) {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.successor(func(rep *pontoonpb.Replica) bool {
		return rep.Role == pontoonpb.ReplicaRole_REPLICA_VOTER && !demotes(c, proto.NodeID(rep.NodeId))
	})
}

func demotes(c *pontoonpb.ChangeReplicasOp, node proto.NodeID) bool {
	for _, s := range c.Steps {
		if s.NodeId == uint64(node) && s.Kind == pontoonpb.ReplicaStepKind_REPLICA_DEMOTE {
			return true
		}
	}
	return false
}

// successor returns the node of the other live replica with the longest log
// among those that fit; 0 if there is none or this one does not lead.
func (r *Replica) successor(fits func(*pontoonpb.Replica) bool) (node proto.NodeID) {
	if !r.leading {
		return 0
	}
	r.wakeUp()
	match := uint64(0)
	progress := r.rn.Status().Progress
	for _, rep := range r.desc.Load().Replicas {
		pr, ok := progress[rep.ReplicaId]
		if !ok || rep.ReplicaId == uint64(r.replicaID) || !fits(rep) || pr.State == tracker.StateSnapshot || !r.active(rep, pr) {
			continue
		}
		if pr.Match >= match {
			node, match = proto.NodeID(rep.NodeId), pr.Match
		}
	}
	return node
}

// active reports whether a replica answered within the last election timeout, and
// nothing is known that keeps it from answering on.
func (r *Replica) active(rep *pontoonpb.Replica, pr tracker.Progress) bool {
	if rep.ReplicaId == uint64(r.replicaID) {
		return true
	}
	answered := pr.RecentActive ||
		r.lease.AckedSince(proto.ReplicaID(rep.ReplicaId), r.s.opts.Now().Add(-r.s.opts.electionTimeout()))
	return answered && r.s.unfit(proto.NodeID(rep.NodeId)) == ""
}

// awaitNoObjection gives raft some time to hear of the replicas.
func (r *Replica) awaitNoObjection(ctx context.Context, c *pontoonpb.ChangeReplicasOp) {
	ctx, cancel := context.WithTimeout(ctx, patienceTicks*r.s.opts.TickInterval)
	defer cancel()
	r.poll(ctx, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.objection(c) == nil
	})
}

// objection is what speaks against a change that only raft knows of. The
// evaluator checks the rest. It is asked under mu.
func (r *Replica) objection(c *pontoonpb.ChangeReplicasOp) error {
	d := r.desc.Load()
	if !r.leading || d.GetGeneration() != c.Generation {
		return nil // refused anyway
	}
	r.wakeUp()
	st := r.rn.Status()
	commit := st.HardState.GetCommit()
	kinds := map[uint64]pontoonpb.ReplicaStepKind{}
	for _, s := range c.Steps {
		kinds[s.NodeId] = s.Kind
	}
	voters, alive := 0, 0
	for _, rep := range d.Replicas {
		kind, named := kinds[rep.NodeId]
		pr := st.Progress[rep.ReplicaId]
		switch {
		case named && kind == pontoonpb.ReplicaStepKind_REPLICA_PROMOTE:
			_, sending := r.sending[proto.ReplicaID(rep.ReplicaId)]
			if sending || pr.State == tracker.StateSnapshot || pr.Match+promoteLag < commit || pr.Match == 0 {
				return refused("node %x has not caught up: it has the log up to %d of %d", rep.NodeId, pr.Match, commit)
			}
		case named && kind == pontoonpb.ReplicaStepKind_REPLICA_DEMOTE, rep.Role == pontoonpb.ReplicaRole_REPLICA_LEARNER:
			continue
		}
		voters++
		if r.active(rep, pr) {
			alive++
		}
	}
	if voters > 0 && alive <= voters/2 {
		return refused("only %d of the %d new voters answer", alive, voters)
	}
	return nil
}

func refused(format string, args ...any) error {
	return proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, format, args...)
}

// handOverIfOutgoing passes the lead on in a joint configuration that would
// take this leader's vote: its successor leaves the configuration. It is
// called by tick, as a transfer may fail.
func (r *Replica) handOverIfOutgoing() {
	d := r.desc.Load()
	if r.handing || !evaluator.Joint(d) || roleOf(d, r.replicaID) != pontoonpb.ReplicaRole_REPLICA_OUTGOING {
		return
	}
	to := r.successor(func(rep *pontoonpb.Replica) bool {
		return rep.Role == pontoonpb.ReplicaRole_REPLICA_VOTER || rep.Role == pontoonpb.ReplicaRole_REPLICA_INCOMING
	})
	if to == 0 {
		return
	}
	r.handing = true
	r.s.background(func() {
		ctx, cancel := r.s.deadline(2 * r.s.opts.electionTimeout())
		defer cancel()
		r.doTransfer(ctx, to)
		r.post(func() { r.handing = false })
	})
}

func roleOf(d *pontoonpb.Descriptor, id proto.ReplicaID) pontoonpb.ReplicaRole {
	for _, rep := range d.GetReplicas() {
		if rep.ReplicaId == uint64(id) {
			return rep.Role
		}
	}
	return pontoonpb.ReplicaRole_REPLICA_LEARNER
}
