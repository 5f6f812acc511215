package rangeraft

import (
	"context"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// doTransfer hands the leadership of the range to the replica on a node and
// waits until this one no longer leads.
func (r *Replica) doTransfer(ctx context.Context, to proto.NodeID) *pontoonpb.RangeReply {
	target, ok := replicaOn(r.desc.Load(), to)
	if !ok {
		return refusal(proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "node %x has no replica of range %d", uint64(to), r.id))
	}
	if roleOf(r.desc.Load(), target) == pontoonpb.ReplicaRole_REPLICA_LEARNER {
		return refusal(proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "the replica of range %d on node %x has no vote", r.id, uint64(to)))
	}
	if why := r.s.unfit(to); why != "" && to != r.s.opts.NodeID {
		return refusal(proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "node %x %s", uint64(to), why))
	}
	done := &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Transfer{Transfer: &pontoonpb.TransferReply{}}}
	if to == r.s.opts.NodeID {
		if e := r.prove(ctx, proto.Span{}); e != nil {
			return &pontoonpb.RangeReply{Error: e}
		}
		return done
	}
	root := r.id == proto.RootRange && r.s.opts.Root != nil
	if e := r.prove(ctx, proto.Span{}); e != nil {
		return &pontoonpb.RangeReply{Error: e}
	}
	if root {
		if err := r.s.opts.Root.HandOver(ctx); err != nil { // P6
			return refusal(unavailable("sequencer hand-over: %v", err))
		}
	}
	term := make(chan proto.Term, 1)
	r.post(func() {
		term <- r.leaderTerm
		r.beginHandOver(target)
	})
	if r.awaitLoss(ctx, to, term) {
		return done
	}
	r.post(r.stayInOffice)
	if root {
		r.s.opts.Root.Resume()
	}
	why := r.s.unfit(to)
	if why == "" {
		why = "did not take over in time"
	}
	return refusal(proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "node %x %s", uint64(to), why))
}

// beginHandOver lets what is under way end, then tells the target to take over.
// What comes meanwhile waits, and goes to the next leader: so no number is burnt
// (P10), and no client is left in doubt.
func (r *Replica) beginHandOver(target proto.ReplicaID) {
	if !r.leading {
		return
	}
	r.wakeUp()
	r.handOver = func() { r.rn.TransferLeader(uint64(target)) } // the lease goes with TimeoutNow (P2)
	if r.ev == nil {
		r.maybeHandOver() // it serves nothing yet
		return
	}
	r.ev.Hold(true)
}

func (r *Replica) maybeHandOver() {
	if f := r.handOver; f != nil && (r.ev == nil || r.ev.Idle()) {
		r.handOver = nil
		f()
	}
}

// stayInOffice goes on after a hand-over that failed. If TimeoutNow was sent, the
// target may still take over; there is no lease any more (P2).
func (r *Replica) stayInOffice() {
	r.handOver = nil
	if r.leading {
		r.rn.TransferLeader(uint64(r.replicaID)) // raft proposes nothing while it hands over
	}
	if r.ev != nil {
		r.ev.Hold(false)
	}
}

// awaitLoss polls until the term that was led is over; false after an election
// timeout, when raft gives the transfer up, too, or once the node that should take
// over is known not to: writes wait meanwhile.
func (r *Replica) awaitLoss(ctx context.Context, to proto.NodeID, term <-chan proto.Term) bool {
	ctx, cancel := context.WithTimeout(ctx, r.s.opts.electionTimeout())
	defer cancel()
	poll := time.NewTicker(max(time.Millisecond, r.s.opts.TickInterval/20))
	defer poll.Stop()
	var led proto.Term
	select {
	case led = <-term:
	case <-ctx.Done():
		return false
	}
	for r.servingTerm.Load() == uint64(led) && led != 0 {
		if r.s.unfit(to) != "" {
			return false
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return false
		case <-r.s.ctx.Done():
			return false
		}
	}
	return true
}

// declineLead answers a TimeoutNow while this node stops, so that the leader goes
// on at once. It is the message itself, rejected: raft's leaders ignore it.
func (r *Replica) declineLead(m *raftpb.Message) {
	r.transmit(&raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), To: new(m.GetFrom()), From: new(uint64(r.replicaID)),
		Term: new(m.GetTerm()), Reject: new(true)})
}

// leadDeclined takes that answer in. It is as good as the word in gossip that the
// node stops, which comes later; gossip takes it back, too.
func (r *Replica) leadDeclined(m *raftpb.Message) {
	if node := r.peer(m.GetFrom()); node != 0 && r.leading && proto.Term(m.GetTerm()) == r.term {
		r.s.NodeLeaving(node, true)
	}
}
