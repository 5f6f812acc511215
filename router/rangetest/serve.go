package rangetest

import (
	"bytes"
	"context"
	"math"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Leader is the node that leads every range.
const Leader proto.NodeID = 2

// errBlocked says that an operation must wait for a lock.
var errBlocked = proto.Errorf(pontoonpb.RangeErrorCode_LOCKED, "locked")

// Call implements router.Transport.
func (c *Cluster) Call(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	op = gproto.Clone(op).(*pontoonpb.RangeOp) // as over the wire
	fault := None
	if c.Faults != nil {
		fault = c.Faults(op)
	}
	ambiguous := &pontoonpb.RangeReply{Error: proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "lost").RangeError}
	local := op.GetRead().GetSerializable()
	switch {
	case fault == Refuse:
		return &pontoonpb.RangeReply{Error: proto.Errorf(pontoonpb.RangeErrorCode_NOT_PROPOSED, "refused").RangeError}, nil
	case fault == Redirect || node != Leader && !local:
		return &pontoonpb.RangeReply{Error: proto.NotLeader(Leader).RangeError}, nil
	case fault == LostBefore:
		return ambiguous, nil
	case fault == Late:
		time.AfterFunc(20*time.Millisecond, func() { c.serve(context.WithoutCancel(ctx), op) })
		return ambiguous, nil
	}
	c.travel()
	reply, err := c.serve(ctx, op)
	c.travel()
	if err != nil {
		return &pontoonpb.RangeReply{Error: proto.ToWire(err)}, nil
	}
	if fault == LostAfter {
		return ambiguous, nil
	}
	return reply, nil
}

// travel is the time that a message takes.
func (c *Cluster) travel() {
	if c.Delay != nil {
		<-time.After(c.Delay())
	}
}

// serve runs an operation, waiting for locks where it has to.
func (c *Cluster) serve(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	deadline := time.Now().Add(c.Blocked)
	for {
		c.mu.Lock()
		reply, err := c.dispatchLocked(op)
		if reply != nil {
			reply = gproto.Clone(reply).(*pontoonpb.RangeReply) // as over the wire
		}
		changed := c.changed
		if err == errBlocked && !time.Now().Before(deadline) {
			c.finishStaleLocked(op)
			deadline = time.Now().Add(c.Blocked)
			c.mu.Unlock()
			continue
		}
		c.mu.Unlock()
		if err != errBlocked || op.GetLock() != nil && !op.GetLock().Wait {
			return reply, err
		}
		timer := time.NewTimer(time.Until(deadline))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "deadline")
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (c *Cluster) dispatchLocked(op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	span := proto.SpanOf(op.Span)
	d := c.ranges[c.indexLocked(span.Start)]
	if d.RangeId != op.RangeId || !proto.SpanOf(d.Span).Covers(span) {
		return nil, proto.Mismatch(c.ranges...)
	}
	switch o := op.Op.(type) {
	case *pontoonpb.RangeOp_Read:
		return c.read(o.Read, span)
	case *pontoonpb.RangeOp_Write:
		return c.write(o.Write, proto.SpanOf(d.Span))
	case *pontoonpb.RangeOp_Lock:
		return c.lock(o.Lock)
	case *pontoonpb.RangeOp_Commit:
		return c.commit(o.Commit, proto.SpanOf(d.Span))
	case *pontoonpb.RangeOp_Abort:
		return c.abort(o.Abort, proto.SpanOf(d.Span))
	case *pontoonpb.RangeOp_Resolve:
		return c.resolve(o.Resolve, span)
	case *pontoonpb.RangeOp_Forget:
		c.calls["forget"]++
		delete(c.records, o.Forget.Txn.String())
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Forget{Forget: &pontoonpb.ForgetReply{}}}, nil
	case *pontoonpb.RangeOp_SysRead:
		r := &pontoonpb.SysReadReply{}
		if v, ok := c.sys[string(span.Start)]; ok {
			r.Records = append(r.Records, &pontoonpb.SysRecord{Key: span.Start, Value: v})
		}
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SysRead{SysRead: r}}, nil
	case *pontoonpb.RangeOp_SysWrite:
		return c.sysWrite(o.SysWrite)
	case *pontoonpb.RangeOp_Compact:
		c.calls["compact"]++
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Compact{Compact: &pontoonpb.CompactReply{}}}, nil
	}
	return nil, proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "not modelled")
}

func (c *Cluster) read(op *pontoonpb.ReadOp, span proto.Span) (*pontoonpb.RangeReply, error) {
	c.calls["read"]++
	rev := op.ReadRevision
	if op.Request.Revision > 0 {
		rev = op.Request.Revision
	}
	if rev < c.floor {
		return nil, proto.BelowFloor(proto.Revision(c.floor))
	}
	if op.Txn != nil {
		rev = math.MaxInt64 - 1
	}
	for _, l := range c.locks { // (P20)
		if l.id != op.Txn.String() && l.What.Mode != pontoonpb.LockMode_LOCK_SHARED && l.Floor < rev && l.span.Overlaps(span) {
			if op.Serializable {
				return nil, proto.Errorf(pontoonpb.RangeErrorCode_STALE_CLOSED, "not closed")
			}
			return nil, errBlocked
		}
	}
	p, err := etcdop.Part(state{c: c, rev: rev}, op.Request, rev, op.CountExact, op.MaxBytes)
	if err != nil {
		return nil, err
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Read{Read: &pontoonpb.ReadReply{
		Kvs: p.Kvs, Count: p.Count, More: p.More, Revision: rev, Next: p.Next,
	}}}, nil
}

func (c *Cluster) write(op *pontoonpb.WriteOp, from proto.Span) (*pontoonpb.RangeReply, error) {
	c.calls["write"]++
	for _, a := range etcdop.Footprint(op.Request) {
		if c.conflictLocked("", a.Span, a.Write) {
			return nil, errBlocked
		}
	}
	r, err := etcdop.Eval(state{c: c, rev: c.seq, from: from}, c.seq+1, op.Request)
	if err != nil {
		return nil, answer(err)
	}
	if c.touchesLeaseLocked(r.Effects) {
		return nil, errBlocked
	}
	if r.Mutates {
		c.seq++
	}
	c.applyLocked(r.Effects, from)
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Write{Write: &pontoonpb.WriteReply{
		Response: r.Response, Revision: r.Revision,
	}}}, nil
}

func answer(err error) error {
	if _, ok := status.FromError(err); ok {
		return proto.Answer(err)
	}
	return err
}

func (c *Cluster) lock(op *pontoonpb.LockOp) (*pontoonpb.RangeReply, error) {
	c.calls["lock"]++
	id := op.Txn.String()
	reply := &pontoonpb.LockReply{Floor: c.seq, CompactFloor: c.floor}
	for _, w := range op.Locks {
		span := proto.SpanOf(w.Span)
		if w.Mode == pontoonpb.LockMode_LOCK_LEASE && c.leaseConflictLocked(id, w.Lease, span) ||
			w.Mode != pontoonpb.LockMode_LOCK_LEASE && c.conflictLocked(id, span, w.Mode == pontoonpb.LockMode_LOCK_WRITE) {
			return nil, errBlocked
		}
		if l, ok := keys.LeaseOf(span.Start); ok {
			reply.Lease = c.leases[int64(l)]
		}
	}
	for _, w := range op.Locks {
		span := proto.SpanOf(w.Span)
		if w.Mode == pontoonpb.LockMode_LOCK_LEASE {
			reply.LeaseKeys = append(reply.LeaseKeys, c.attachedLocked(w.Lease, span)...)
		}
		c.locks = append(c.locks, &lock{
			Lock: &pontoonpb.Lock{Txn: op.Txn, AnchorKey: op.AnchorKey, What: w, Floor: c.seq}, span: span, id: id,
		})
	}
	if op.Anchor {
		c.records[id] = &pontoonpb.TxnRecord{Txn: op.Txn, State: pontoonpb.TxnState_TXN_PENDING}
	}
	// The locks are held when the reads fail.
	for _, r := range op.Reads {
		if r.Revision > 0 && r.Revision < c.floor {
			return nil, proto.BelowFloor(proto.Revision(c.floor))
		}
		all, err := etcdop.Part(state{c: c, rev: math.MaxInt64 - 1}, r, r.Revision, true, 0)
		if err != nil {
			return nil, err
		}
		reply.Reads = append(reply.Reads, &pontoonpb.ReadReply{Kvs: all.Kvs, Count: all.Count, Revision: r.Revision})
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Lock{Lock: reply}}, nil
}

func (c *Cluster) commit(op *pontoonpb.CommitOp, span proto.Span) (*pontoonpb.RangeReply, error) {
	c.calls["commit"]++
	rec := c.records[op.Txn.String()]
	if rec == nil {
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_TXN_NOT_PENDING, "no record")
	}
	if rec.State == pontoonpb.TxnState_TXN_COMMITTED {
		panic("rangetest: a txn was committed twice") // (P34)
	}
	rec.State = pontoonpb.TxnState_TXN_COMMITTED
	if op.NeedsRevision {
		c.seq++
		rec.Revision = c.seq
	}
	rec.Effects = op.Effects
	etcdop.PatchEffects(rec.Effects, rec.Revision)
	c.applyLocked(rec.Effects, span)
	c.unlockLocked(op.Txn.String(), span)
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Commit{Commit: &pontoonpb.CommitReply{Revision: rec.Revision}}}, nil
}

func (c *Cluster) abort(op *pontoonpb.AbortOp, span proto.Span) (*pontoonpb.RangeReply, error) {
	c.calls["abort"]++
	reply := &pontoonpb.AbortReply{}
	if rec := c.records[op.Txn.String()]; rec.GetState() == pontoonpb.TxnState_TXN_COMMITTED {
		reply.Committed = rec
	} else {
		c.aborted[op.Txn.String()] = true
		delete(c.records, op.Txn.String())
		c.unlockLocked(op.Txn.String(), span)
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Abort{Abort: reply}}, nil
}

func (c *Cluster) resolve(op *pontoonpb.ResolveOp, span proto.Span) (*pontoonpb.RangeReply, error) {
	c.calls["resolve"]++
	id := op.Txn.String()
	// A late lock request may bring the record back; nobody commits it then.
	if !op.Commit && c.records[id] != nil && !c.aborted[id] {
		panic("rangetest: locks were released before the abort was written") // (P29)
	}
	for _, l := range c.locks {
		if !op.Commit || l.id != id || !l.span.Overlaps(span) {
			continue
		}
		if c.records[id] == nil {
			panic("rangetest: the record went before every participant confirmed") // (P31)
		}
		c.applyLocked(op.Effects, l.span.Intersect(span)) // only under the txn's own lock
	}
	c.unlockLocked(id, span)
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Resolve{Resolve: &pontoonpb.ResolveReply{}}}, nil
}

func (c *Cluster) unlockLocked(id string, span proto.Span) {
	c.locks = slices.DeleteFunc(c.locks, func(l *lock) bool { return l.id == id && l.span.Overlaps(span) })
	close(c.changed)
	c.changed = make(chan struct{})
}

// finishStaleLocked does what a blocked leader does: look at the record of
// every txn in the way of op, abort what is pending, apply what is committed.
func (c *Cluster) finishStaleLocked(op *pontoonpb.RangeOp) {
	for _, l := range slices.Clone(c.locks) {
		if l.id == op.GetLock().GetTxn().String() || !l.span.Overlaps(proto.SpanOf(op.Span)) {
			continue
		}
		c.calls["finish"]++
		if rec := c.records[l.id]; rec.GetState() == pontoonpb.TxnState_TXN_COMMITTED {
			c.applyLocked(rec.Effects, l.span)
		} else {
			c.aborted[l.id] = true
			delete(c.records, l.id)
		}
		c.locks = slices.DeleteFunc(c.locks, func(o *lock) bool { return o == l })
		if !slices.ContainsFunc(c.locks, func(o *lock) bool { return o.id == l.id }) {
			delete(c.records, l.id) // every participant is done (P31)
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Cluster) sysWrite(op *pontoonpb.SysWriteOp) (*pontoonpb.RangeReply, error) {
	for _, cond := range op.Conditions {
		if !bytes.Equal(c.sys[string(cond.Key)], cond.Value) {
			return nil, proto.Errorf(pontoonpb.RangeErrorCode_CONDITION_FAILED, "condition")
		}
	}
	for _, p := range op.Puts {
		c.sys[string(p.Key)] = p.Value
		if bytes.Equal(p.Key, keys.Floor) {
			c.floor = 0
			for _, b := range p.Value {
				c.floor = c.floor<<8 | int64(b)
			}
		}
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SysWrite{SysWrite: &pontoonpb.SysWriteReply{}}}, nil
}

// FillHeader implements router.HeaderSource.
func (c *Cluster) FillHeader(h *pb.ResponseHeader) {
	h.ClusterId, h.MemberId, h.RaftTerm = 7, uint64(Leader), 3
}
