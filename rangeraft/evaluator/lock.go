package evaluator

import (
	"bytes"
	"errors"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// evalLock takes all locks or none, in one entry (P35). The anchor's entry
// holds the pending record too (P29).
func (e *Evaluator) evalLock(b *batch, op *pontoonpb.LockOp) (*member, error) {
	txn := keyOf(op.Txn)
	pending := false
	if op.Anchor {
		record, err := e.txnRecord(b, op.AnchorKey, txn)
		if err != nil {
			return nil, err
		}
		if record.GetState() == pontoonpb.TxnState_TXN_COMMITTED {
			return nil, proto.Errorf(pontoonpb.RangeErrorCode_TXN_NOT_PENDING, "txn is committed")
		}
		pending = record != nil
	}
	if err := e.freeLocks(txn, op.Locks); err != nil {
		return nil, err
	}
	lease, err := e.lockedLease(op)
	if err != nil {
		return nil, err
	}
	revoke, err := e.beginRevoke(txn, op)
	if err != nil {
		return nil, err
	}
	reply := &pontoonpb.LockReply{Lease: lease, Floor: int64(e.seenNow()), CompactFloor: int64(e.floor())}
	m := &member{
		reply:  &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Lock{Lock: reply}},
		locked: op,
	}
	if op.Anchor && !pending {
		m.mutates = true
		e.write(b, txnEffect(pontoonpb.EffectKind_EFFECT_LOCAL_PUT, op.AnchorKey, txn, &pontoonpb.TxnRecord{
			Txn: op.Txn, State: pontoonpb.TxnState_TXN_PENDING, Participants: op.Participants,
		}))
	}
	for _, what := range op.Locks {
		h := e.take(b, txn, op.AnchorKey, what)
		if h.addedHere(b) {
			m.mutates = true
		}
		if revoke && h.span.Contains(keys.Lease(proto.LeaseID(op.RevokeLease))) {
			h.revoke, revoke = proto.LeaseID(op.RevokeLease), false
		}
		reply.Floor = min(reply.Floor, h.lock.Floor)
	}
	return m, nil
}

// freeLocks returns an error if not all locks can be had.
func (e *Evaluator) freeLocks(txn txnKey, locks []*pontoonpb.LockSpan) error {
	for _, what := range locks {
		span := proto.SpanOf(what.Span)
		if !e.span.Covers(span) {
			return e.mismatch()
		}
		if span.Empty() {
			return refusef("lock on an empty span")
		}
		var err error
		if what.Mode == pontoonpb.LockMode_LOCK_LEASE {
			err = e.freeLease(txn, span, proto.LeaseID(what.Lease))
		} else {
			err = e.free(txn, span, what.Mode == pontoonpb.LockMode_LOCK_WRITE)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lockedLease returns the lease record that is locked, which nobody removes
// under the lock; nil: there is none.
func (e *Evaluator) lockedLease(op *pontoonpb.LockOp) (*pontoonpb.LeaseRecord, error) {
	revoked := func(what *pontoonpb.LockSpan) bool {
		return what.Mode == pontoonpb.LockMode_LOCK_WRITE &&
			bytes.Equal(what.GetSpan().GetStart(), keys.Lease(proto.LeaseID(op.RevokeLease)))
	}
	if op.RevokeLease != 0 && !slices.ContainsFunc(op.Locks, revoked) {
		return nil, refusef("a revoke locks its lease record")
	}
	for _, what := range op.Locks {
		id, ok := keys.LeaseOf(what.GetSpan().GetStart())
		if !ok || what.Mode == pontoonpb.LockMode_LOCK_LEASE {
			continue
		}
		record, err := e.leaseRecord(id)
		if err != nil || record != nil {
			return record, err
		}
		if op.RevokeLease == int64(id) {
			return nil, rpctypes.ErrGRPCLeaseNotFound
		}
	}
	return nil, nil
}

// beginRevoke decides a revoke or an expiry with the lessor (P39); false: it is
// none, or the txn's lock did that before.
func (e *Evaluator) beginRevoke(txn txnKey, op *pontoonpb.LockOp) (bool, error) {
	if op.RevokeLease == 0 || e.opts.Lessor == nil {
		return false, nil
	}
	for _, h := range e.locks.of(txn) {
		if h.revoke == proto.LeaseID(op.RevokeLease) {
			return false, nil
		}
	}
	err := e.opts.Lessor.BeginRevoke(proto.LeaseID(op.RevokeLease), op.ExpireTerm, op.ExpireRenewals)
	if err == nil {
		return true, nil
	}
	if re := (*proto.RangeError)(nil); !errors.As(err, &re) {
		err = proto.Errorf(pontoonpb.RangeErrorCode_LEASE_CHANGED, "%v", err)
	}
	return false, err
}

// ResumeRevokes begins with the lessor what an earlier leader, or the range
// before a split, had begun: a lease whose record is locked is not renewed
// before the outcome (P39). The driver calls it whenever the lessor has gained
// lease records.
func (e *Evaluator) ResumeRevokes() {
	if e.opts.Lessor == nil {
		return
	}
	e.locks.overlapping(e.span.Intersect(keys.LeaseSpan), func(h *held) bool {
		id, ok := keys.LeaseOf(h.span.Start)
		if ok && h.isPoint() && h.mode() == pontoonpb.LockMode_LOCK_WRITE && h.removedBy == 0 && h.revoke == 0 &&
			e.opts.Lessor.BeginRevoke(id, 0, 0) == nil {
			h.revoke = id
		}
		return true
	})
}

// take adds a lock, unless the txn holds the very same one.
func (e *Evaluator) take(b *batch, txn txnKey, anchor []byte, what *pontoonpb.LockSpan) *held {
	span := proto.SpanOf(what.Span)
	for _, h := range e.locks.of(txn) {
		if h.mode() == what.Mode && h.lock.What.Lease == what.Lease &&
			bytes.Equal(h.span.Start, span.Start) && bytes.Equal(h.span.End, span.End) {
			return h
		}
	}
	h := &held{
		// The floor is what was seen now: the txn takes its number later, so
		// it is above (P30).
		lock: &pontoonpb.Lock{Txn: txn.wire(), AnchorKey: anchor, What: what, Floor: int64(e.seenNow())},
		txn:  txn, span: span, ordinal: e.locks.nextOrdinal(txn), addedBy: b.id,
	}
	if what.Mode == pontoonpb.LockMode_LOCK_LEASE {
		e.leases.void(h.lease())
	}
	e.hold(b, h)
	return h
}

// hold enters a lock into the table and its record into the batch.
func (e *Evaluator) hold(b *batch, h *held) {
	e.locks.add(h)
	b.added = append(b.added, h)
	e.write(b, lockRecord(h))
}

func (h *held) addedHere(b *batch) bool { return h.addedBy == b.id }
