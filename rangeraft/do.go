package rangeraft

import (
	"context"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Do runs one operation on a local replica and blocks until it is answered or
// ctx ends. The reply is never nil; its error is typed.
func (s *Store) Do(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	if s.ctx.Err() != nil {
		return refusal(unavailable("node is stopping"))
	}
	r, err := s.lookup(op)
	if err != nil {
		return refusal(err)
	}
	reply := s.dispatch(ctx, r, op)
	if e := reply.Error; e.GetCode() == pontoonpb.RangeErrorCode_NOT_LEADER && len(e.Descriptors) == 0 {
		// The error may be shared. The leader may be of a node that came later.
		reply = &pontoonpb.RangeReply{Error: &pontoonpb.RangeError{Code: e.Code, Message: e.Message,
			LeaderNode: e.LeaderNode, Descriptors: []*pontoonpb.Descriptor{r.desc.Load()}}}
	}
	return reply
}

func (s *Store) dispatch(ctx context.Context, r *Replica, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	switch o := op.Op.(type) {
	case *pontoonpb.RangeOp_Read:
		return r.doRead(ctx, op, o.Read)
	case *pontoonpb.RangeOp_SysRead:
		return r.doSysRead(ctx, op, o.SysRead)
	case *pontoonpb.RangeOp_LeaseKeys:
		return r.doLeaseKeys(ctx, op, o.LeaseKeys)
	case *pontoonpb.RangeOp_History:
		return r.doHistory(ctx, op, o.History)
	case *pontoonpb.RangeOp_Hash:
		return r.doHash(ctx, op, o.Hash)
	case *pontoonpb.RangeOp_Status:
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Status{Status: r.status()}}
	case *pontoonpb.RangeOp_Checksum:
		return r.doChecksum(ctx, proto.Index(o.Checksum.Index))
	case *pontoonpb.RangeOp_SplitPoint:
		return r.doSplitPoint(o.SplitPoint)
	case *pontoonpb.RangeOp_Transfer:
		return r.doTransfer(ctx, proto.NodeID(o.Transfer.ToNode))
	case *pontoonpb.RangeOp_Lease:
		return r.doLease(ctx, op, o.Lease)
	case *pontoonpb.RangeOp_Lock:
		return r.doLock(ctx, op)
	case *pontoonpb.RangeOp_Split:
		return r.doSplit(ctx, op, o.Split)
	case *pontoonpb.RangeOp_ChangeReplicas:
		return r.doChange(ctx, op, o.ChangeReplicas)
	case *pontoonpb.RangeOp_Compact:
		return r.doCompact(ctx, op, o.Compact)
	case *pontoonpb.RangeOp_Merge:
		return r.doMerge(ctx, o.Merge)
	case *pontoonpb.RangeOp_MergeStep:
		return r.doMergeStep(ctx, op, o.MergeStep.GetStep())
	case *pontoonpb.RangeOp_WaitApplied:
		return r.doWaitApplied(ctx, proto.Index(o.WaitApplied.Index))
	case nil:
		return refusal(proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "operation is missing"))
	case *pontoonpb.RangeOp_Write:
		return r.doWrite(ctx, op)
	default:
		return r.run(ctx, newRequest(op))
	}
}

// doWrite asks for room only where the write would be evaluated, also by a leader
// that does not serve yet.
func (r *Replica) doWrite(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	bytes := int64(op.SizeVT())
	if !r.admit(bytes) {
		return refusal(errTooMany)
	}
	defer r.leave(bytes)
	if room := r.s.opts.Room; room != nil && r.leaderNode.Load() == uint64(r.s.opts.NodeID) {
		if err := room.Admit(ctx, op); err != nil {
			return refusal(err)
		}
	}
	return r.run(ctx, newRequest(op))
}

// lookup finds the replica and checks the span against its applied descriptor
// (P21). An evaluated operation is checked again in its turn.
func (s *Store) lookup(op *pontoonpb.RangeOp) (*Replica, *proto.RangeError) {
	r := s.replica(proto.RangeID(op.RangeId))
	span := proto.SpanOf(op.Span)
	if r != nil && r.desc.Load() != nil {
		if r.span().Covers(span) {
			return r, nil
		}
		return nil, proto.Mismatch(s.known(span)...)
	}
	if known := s.known(span); len(known) > 0 && len(span.Start) > 0 {
		return nil, proto.Mismatch(known...)
	}
	return nil, s.departed.refusal(proto.RangeID(op.RangeId), span)
}

// gate waits until a read of span at rev may be served from the applied state,
// led from here (P20).
func (r *Replica) gate(ctx context.Context, span proto.Span, rev proto.Revision, txn *pontoonpb.TxnID) *pontoonpb.RangeError {
	q := &request{done: make(chan *pontoonpb.RangeReply, 1), gate: true, span: span, rev: rev, txn: txn}
	// Most reads pass at once: no need for a turn of the worker, if none runs.
	if r.mu.TryLock() {
		r.begin(q)
		r.mu.Unlock()
		select {
		case reply := <-q.done:
			return reply.Error
		default:
			r.s.scheduler.signal(r)
			return r.await(ctx, q).Error
		}
	}
	return r.run(ctx, q).Error
}

// prove waits until the leadership is proven for an instant after the call.
func (r *Replica) prove(ctx context.Context, span proto.Span) *pontoonpb.RangeError {
	q := &request{done: make(chan *pontoonpb.RangeReply, 1), noGate: true, span: span}
	return r.run(ctx, q).Error
}

// closedOrGate lets a replica serve what it knows to be closed, and the leader
// anything.
func (r *Replica) closedOrGate(ctx context.Context, span proto.Span, rev proto.Revision) *pontoonpb.RangeError {
	if r.closed() >= rev {
		return nil
	}
	e := r.gate(ctx, span, rev, nil)
	if e != nil && e.Code == pontoonpb.RangeErrorCode_NOT_LEADER {
		return &pontoonpb.RangeError{Code: pontoonpb.RangeErrorCode_STALE_CLOSED, LeaderNode: e.LeaderNode,
			Message: "closed revision of this replica is below the revision asked for"}
	}
	return e
}

func (r *Replica) doLock(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	bytes := int64(op.SizeVT())
	if !r.admit(bytes) {
		return refusal(errTooMany)
	}
	defer r.leave(bytes)
	q := newRequest(op)
	reply := r.run(ctx, q)
	if reply.Error == nil && q.lockedReads != nil {
		if err := r.readUnderLocks(op, q.lockedReads, reply.GetLock()); err != nil {
			if proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH) {
				// Told as it is it would say that nothing was locked.
				err = proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "the range was split under the locks")
			}
			return refusal(err)
		}
	}
	return reply
}

// doSplit answers with both sides as they are once the split is applied here.
func (r *Replica) doSplit(ctx context.Context, op *pontoonpb.RangeOp, split *pontoonpb.SplitOp) *pontoonpb.RangeReply {
	reply := r.run(ctx, newRequest(op))
	if out := reply.GetSplit(); reply.Error == nil && out != nil {
		out.Left = r.desc.Load()
		if right := r.s.replica(proto.RangeID(split.RightRangeId)); right != nil {
			out.Right = right.desc.Load()
		}
	}
	return reply
}

func (r *Replica) doLease(ctx context.Context, op *pontoonpb.RangeOp, l *pontoonpb.LeaseOp) *pontoonpb.RangeReply {
	switch l.Kind {
	case pontoonpb.LeaseOpKind_LEASE_KEEPALIVE, pontoonpb.LeaseOpKind_LEASE_TTL, pontoonpb.LeaseOpKind_LEASE_LIST:
	default:
		return r.run(ctx, newRequest(op))
	}
	if r.s.opts.Lessor == nil {
		return refusal(unavailable("leases are not served here"))
	}
	for again := false; ; again = true {
		reply, err := r.s.opts.Lessor.Serve(ctx, r.id, l)
		// Afterwards: the answer has a number, and another leader may have revoked
		// the lease at or below it before this one heard of it (P5).
		if e := r.prove(ctx, proto.SpanOf(op.Span)); e != nil {
			return &pontoonpb.RangeReply{Error: e}
		}
		switch {
		case err == nil:
			return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Lease{Lease: reply}}
		case again || !proto.HasCode(err, pontoonpb.RangeErrorCode_NOT_LEADER):
			return refusal(err)
		}
		// It leads by now, and has told the lessor (P1).
	}
}

func (r *Replica) doCompact(ctx context.Context, op *pontoonpb.RangeOp, c *pontoonpb.CompactOp) *pontoonpb.RangeReply {
	reply := r.run(ctx, newRequest(op))
	if reply.Error != nil || !c.WaitDropped {
		return reply
	}
	select {
	case err := <-r.s.dropper.Request(r.id):
		if err != nil {
			return refusal(unavailable("dropping: %v", err))
		}
		return reply
	case <-ctx.Done():
		return refusal(unavailable("dropping goes on: %v", ctx.Err()))
	}
}

// background runs fn on a goroutine that Close waits for; false: the store is
// closing, and fn does not run.
func (s *Store) background(fn func()) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.stopped {
		return false
	}
	s.wg.Go(fn)
	return true
}

// deadline returns a context that ends with the store or after d.
func (s *Store) deadline(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, d)
}

func (s *Store) after(d time.Duration) <-chan time.Time { return time.After(d) }
