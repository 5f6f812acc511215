package evaluator

import (
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
)

// closable is what an entry proposed now may close: every number granted up to
// now to this range is in an entry up to this one, and a number asked for
// later is above what was seen. What a txn may still write below its locks is
// above their floors (P18, P30).
func (e *Evaluator) closable() proto.Revision {
	c := e.seenNow()
	if f, ok := e.locks.lowestFloor(); ok {
		c = min(c, f)
	}
	return c
}

// IdleClosed closes the range outside an entry, at the returned revision;
// false: there is work in flight, or numbers are asked for (P19). The driver
// checks its leader lease after the call and before it ships the revision.
func (e *Evaluator) IdleClosed() (proto.Revision, bool) {
	if e.failed != nil || e.Frozen() || e.pending != nil || len(e.inflight) > 0 || e.ask != nil && e.ask.count > 0 {
		return 0, false
	}
	e.closed = max(e.closed, e.closable())
	return e.closed, true
}

// Unlocked reports whether no lock holds the closed revision back (P30). Only
// then may the range enter the side stream, whose number rises on its own.
func (e *Evaluator) Unlocked() bool {
	_, locked := e.locks.lowestFloor()
	return !locked
}

// Closed is what the range has promised so far, in entries or outside.
func (e *Evaluator) Closed() proto.Revision { return e.closed }

// reportBlocked emits TxnBlocked for the txns that hold an applied lock which
// is due, one for all locks of a txn, and sets their next deadline (P32).
func (e *Evaluator) reportBlocked(due func(*held) bool) {
	for _, txn := range e.locks.sortedTxns() {
		var locks []*held
		for _, h := range e.locks.of(txn) {
			if h.applied {
				locks = append(locks, h)
			}
		}
		if !slices.ContainsFunc(locks, due) {
			continue
		}
		span := locks[0].span
		for _, h := range locks {
			span = hull(span, h.span)
			h.askAt = e.now + e.opts.BlockedAfter
		}
		e.emit(TxnBlocked{Txn: txn.wire(), AnchorKey: locks[0].lock.AnchorKey, Span: span})
	}
}

// NodeSuspect reports the txns of a suspected coordinator at once (P32).
func (e *Evaluator) NodeSuspect(node proto.NodeID) {
	e.reportBlocked(func(h *held) bool { return h.txn.node == uint64(node) })
}

func hull(a, b proto.Span) proto.Span {
	if string(b.Start) < string(a.Start) {
		a.Start = b.Start
	}
	if string(b.End) > string(a.End) {
		a.End = b.End
	}
	return a
}
