package evaluator

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Who gets in whose way, never a txn in its own:
//
//	              SHARED   WRITE    LEASE(L)
//	reads         -        waits    waits if it touches a key of L
//	writes        waits    waits    waits if it touches a key of L or attaches one
//	SHARED        -        waits    waits if it touches a key of L
//	WRITE         waits    waits    waits if it touches a key of L
//	LEASE(L)      SHARED on keys of L, every WRITE, and another LEASE(L)
//
// LEASE(L) waits for every WRITE: its effects, decided but not here yet, may
// attach a key to L, which the reading of L's keys would miss.

// free returns errLocked if a lock is in the way of reading or writing span.
func (e *Evaluator) free(txn txnKey, span proto.Span, write bool) error {
	var by *held
	var bad error
	e.locks.overlapping(span, func(h *held) bool {
		if h.removedBy != 0 || h.txn == txn {
			return true
		}
		hit := write
		switch h.mode() {
		case pontoonpb.LockMode_LOCK_WRITE:
			hit = true
		case pontoonpb.LockMode_LOCK_LEASE:
			hit, bad = e.attached(h.span.Intersect(span), h.lease())
		}
		if hit {
			by = h
		}
		return by == nil && bad == nil
	})
	if by != nil {
		return &errLocked{by}
	}
	return bad
}

// freeLease returns errLocked if a lock is in the way of locking what is
// attached to the lease in span (P37).
func (e *Evaluator) freeLease(txn txnKey, span proto.Span, lease proto.LeaseID) error {
	var by *held
	var bad error
	e.locks.overlapping(span, func(h *held) bool {
		if h.removedBy != 0 || h.txn == txn {
			return true
		}
		hit := h.mode() == pontoonpb.LockMode_LOCK_WRITE || h.lease() == lease
		if h.mode() == pontoonpb.LockMode_LOCK_SHARED {
			hit, bad = e.attached(h.span.Intersect(span), lease)
		}
		if hit {
			by = h
		}
		return by == nil && bad == nil
	})
	if by != nil {
		return &errLocked{by}
	}
	return bad
}

// freeEffects returns errLocked if a lock is in the way of the effects: on
// their keys, or on a lease that they attach to or detach from (P37).
func (e *Evaluator) freeEffects(txn txnKey, effects []*pontoonpb.Effect) error {
	for _, f := range effects {
		if !isUser(f) {
			continue
		}
		span := effectSpan(f)
		if err := e.free(txn, span, true); err != nil {
			return err
		}
		for _, lease := range []int64{f.Lease, f.PrevLease} {
			if err := e.freeOfLease(txn, span, proto.LeaseID(lease)); err != nil {
				return err
			}
		}
	}
	return nil
}

// freeOfLease returns errLocked if the lease is locked in span (P37); 0: none.
func (e *Evaluator) freeOfLease(txn txnKey, span proto.Span, lease proto.LeaseID) error {
	if lease == 0 {
		return nil
	}
	for _, h := range e.locks.spans {
		if h.removedBy == 0 && h.txn != txn && h.mode() == pontoonpb.LockMode_LOCK_LEASE &&
			h.span.Overlaps(span) && h.lease() == lease {
			return &errLocked{h}
		}
	}
	return nil
}
