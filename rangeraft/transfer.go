package rangeraft

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/raft/v3/tracker"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// parallelTransfers bounds the leaderships that TransferAll hands over at a time.
const parallelTransfers = 64

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
	if r.awaitLoss(ctx, term) {
		return done
	}
	r.post(r.stayInOffice)
	if root {
		r.s.opts.Root.Resume()
	}
	return refusal(proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "node %x did not take over in time", uint64(to)))
}

// beginHandOver lets what is under way end, then tells the target to take over.
// What comes meanwhile waits, and goes to the next leader: so no number is burnt
// (P10), and no client is left in doubt.
func (r *Replica) beginHandOver(target proto.ReplicaID) {
	if !r.leading {
		return
	}
	r.wakeUp()
	r.handOver = func() {
		r.dropLease() // P2: before TimeoutNow can leave
		r.rn.TransferLeader(uint64(target))
	}
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

// stayInOffice goes on after a hand-over that failed.
func (r *Replica) stayInOffice() {
	r.handOver = nil
	if r.ev != nil {
		r.ev.Hold(false)
	}
}

// awaitLoss polls until the term that was led is over; false after an election
// timeout, when raft gives the transfer up, too.
func (r *Replica) awaitLoss(ctx context.Context, term <-chan proto.Term) bool {
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

// TransferAll hands every leadership of this node to the follower that is
// furthest, for a clean stop. The root range goes last, so that the others can
// still ask for numbers; where it has no other replica the next number is left
// in its log (P6). It returns when all are gone or ctx ends. Ranges do not wait
// for one another: where the others stop too, each takes an election timeout to
// find out.
func (s *Store) TransferAll(ctx context.Context) {
	var root *Replica
	var others sync.WaitGroup
	slots := make(chan struct{}, parallelTransfers)
	for _, r := range s.all() {
		if r.id == proto.RootRange {
			root = r
			continue
		}
		slots <- struct{}{}
		others.Go(func() {
			defer func() { <-slots }()
			r.transferAway(ctx)
		})
	}
	others.Wait()
	if root != nil {
		root.transferAway(ctx)
	}
}

func (r *Replica) transferAway(ctx context.Context) {
	if !r.awaitServing(ctx) {
		return
	}
	if r.single() {
		r.retire(ctx)
		return
	}
	tried := map[proto.NodeID]bool{}
	for {
		best := make(chan proto.NodeID, 1)
		r.post(func() { best <- r.furthest(tried) })
		select {
		case to := <-best:
			if to == 0 {
				return
			}
			reply := r.doTransfer(ctx, to)
			if reply.Error == nil {
				return
			}
			tried[to] = true
			r.log.Warn("leadership not transferred", slog.String("error", reply.Error.Message))
		case <-ctx.Done():
			return
		case <-r.s.ctx.Done():
			return
		}
	}
}

// awaitServing waits while this replica leads and does not serve yet: its
// leadership has to be handed over, too. False: it does not lead.
func (r *Replica) awaitServing(ctx context.Context) bool {
	poll := time.NewTicker(max(time.Millisecond, r.s.opts.TickInterval/20))
	defer poll.Stop()
	limit := r.s.after(r.s.opts.electionTimeout())
	for r.servingTerm.Load() == 0 {
		if r.leaderNode.Load() != uint64(r.s.opts.NodeID) {
			return false
		}
		select {
		case <-poll.C:
		case <-limit:
			return false
		case <-ctx.Done():
			return false
		case <-r.s.ctx.Done():
			return false
		}
	}
	return true
}

// retire leaves the exact next number in the log where no other replica takes
// over (P6). The sequencer's term ends with it, so that nothing is granted while
// the rest of the node stops.
func (r *Replica) retire(ctx context.Context) {
	if r.id != proto.RootRange || r.s.opts.Root == nil {
		return
	}
	if err := r.s.opts.Root.HandOver(ctx); err != nil {
		r.log.Warn("next number not handed over", slog.Any("error", err))
		return
	}
	r.post(func() {
		if r.leading {
			r.s.opts.Root.Lost(r.leaderTerm)
		}
	})
}

// furthest returns the node of the live voter with the longest log that was not
// tried yet, 0 if there is no other.
func (r *Replica) furthest(tried map[proto.NodeID]bool) proto.NodeID {
	if !r.leading {
		return 0
	}
	var node proto.NodeID
	var match uint64
	r.wakeUp()
	for id, pr := range r.rn.Status().Progress {
		if id == uint64(r.replicaID) || pr.IsLearner || !pr.RecentActive || pr.State == tracker.StateSnapshot {
			continue
		}
		if n := nodeOf(r.desc.Load(), proto.ReplicaID(id)); n != 0 && !tried[n] && pr.Match >= match {
			node, match = n, pr.Match
		}
	}
	return node
}
