package evaluator

import (
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// waitingRead is a read that something at or below its revision may still
// change. All that it waits for was there when it came; what comes later gets
// a number above (P20).
type waitingRead struct {
	id    RequestID
	span  proto.Span
	rev   proto.Revision
	ask   uint64 // token of an open ask; 0: none
	upTo  uint64 // batches in flight up to this one count
	locks []*held
}

// AdmitRead asks whether a read of span at rev may be served from the applied
// state now; false: ReadReady{id} follows. rev is a read revision of the
// sequencer, or a lower one that the client named; the driver has raised Seen
// to the former. txn names the txn under whose locks the read is, nil for
// none; such a read does not wait for its own locks, and may give rev 0 for
// the latest state under them.
func (e *Evaluator) AdmitRead(id RequestID, span proto.Span, rev proto.Revision, txn *pontoonpb.TxnID) bool {
	if e.failed != nil {
		e.emit(ReadReady{ID: id, Err: e.failed})
		return false
	}
	if !e.span.Covers(span) {
		e.emit(ReadReady{ID: id, Err: proto.Mismatch(e.desc)})
		return false
	}
	if e.Frozen() {
		e.emit(ReadReady{ID: id, Err: ErrFrozen()}) // P46
		return false
	}
	w := &waitingRead{id: id, span: span, rev: rev}
	if e.ask != nil && e.ask.count > 0 {
		w.ask = e.ask.token
	}
	if n := len(e.inflight); n > 0 {
		w.upTo = e.inflight[n-1].id
	}
	own := keyOf(txn)
	e.locks.overlapping(span, func(h *held) bool {
		if h.applied && h.txn != own && h.holdsClosed() && h.lock.Floor < int64(rev) && e.mayChange(h, span) {
			w.locks = append(w.locks, h)
		}
		return true
	})
	if e.readReady(w) {
		return true
	}
	e.reads = append(e.reads, w)
	return false
}

// mayChange: a lock on a lease changes only what is attached to it, and nobody
// attaches or detaches under it. What its own removal in flight changes is not
// applied yet, so the overlay is not asked. In doubt the read waits.
func (e *Evaluator) mayChange(h *held, span proto.Span) bool {
	if h.mode() != pontoonpb.LockMode_LOCK_LEASE {
		return true
	}
	found := false
	err := e.opts.State.LeaseKeys(h.span.Intersect(span), h.lease(), func([]byte) bool {
		found = true
		return false
	})
	return found || err != nil
}

func (e *Evaluator) readReady(w *waitingRead) bool {
	return w.ask == 0 && !slices.ContainsFunc(e.inflight, func(b *batch) bool { return b.id <= w.upTo && b.mayShowIn(w) }) &&
		!slices.ContainsFunc(w.locks, func(h *held) bool { return h.blocks(w.span) })
}

// mayShowIn: the batch writes at or below the read's revision, or it splits off
// what is read: until its fate is known nothing of that is served (P15).
func (b *batch) mayShowIn(w *waitingRead) bool {
	return b.lowest > 0 && b.lowest <= w.rev || b.splitsOff(w.span)
}

// blocks reports whether the lock is still held somewhere in span.
func (h *held) blocks(span proto.Span) bool { return !h.gone && h.span.Overlaps(span) }

// askAnswered: for reads that came while the ask was open its batch counts too,
// if it was proposed. An ask repeated since gets numbers above them.
func (e *Evaluator) askAnswered(token uint64, b *batch) {
	for _, w := range e.reads {
		if w.ask != token {
			continue
		}
		w.ask = 0
		if b != nil {
			w.upTo = b.id
		}
	}
	e.readsDirty = true
}

// sweepReads lets the reads go that wait for nothing more.
func (e *Evaluator) sweepReads() {
	if !e.readsDirty {
		return
	}
	e.readsDirty = false
	kept := e.reads[:0]
	for _, w := range e.reads {
		if e.readReady(w) {
			e.emit(ReadReady{ID: w.id})
		} else {
			kept = append(kept, w)
		}
	}
	clear(e.reads[len(kept):])
	e.reads = kept
}
