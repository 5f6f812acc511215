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
	batch uint64 // in flight; 0: none
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
	if n := len(e.inflight); n > 0 && e.inflight[n-1].split != nil {
		// Until its fate is known nothing of the right side is served (P15).
		key := e.inflight[n-1].split.Key
		if (proto.Span{Start: key, End: e.span.End}).Overlaps(span) {
			e.reads = append(e.reads, &waitingRead{id: id, span: span, rev: rev, batch: e.inflight[n-1].id})
			return false
		}
	}
	w := &waitingRead{id: id, span: span, rev: rev}
	if e.ask != nil && e.ask.count > 0 {
		w.ask = e.ask.token
	}
	w.batch, _ = e.inFlightAt(rev)
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
// attaches or detaches under it. In doubt the read waits.
func (e *Evaluator) mayChange(h *held, span proto.Span) bool {
	if h.mode() != pontoonpb.LockMode_LOCK_LEASE {
		return true
	}
	yes, err := e.attached(h.span.Intersect(span), h.lease())
	return yes || err != nil
}

func (e *Evaluator) readReady(w *waitingRead) bool {
	return w.ask == 0 && !e.isInFlight(w.batch) &&
		!slices.ContainsFunc(w.locks, func(h *held) bool { return h.blocks(w.span) })
}

// blocks reports whether the lock, or what is left of it, is still held
// somewhere in span.
func (h *held) blocks(span proto.Span) bool {
	if !h.gone {
		return h.span.Overlaps(span)
	}
	return slices.ContainsFunc(h.rest, func(r *held) bool { return r.blocks(span) })
}

func (e *Evaluator) isInFlight(id uint64) bool {
	return id != 0 && slices.ContainsFunc(e.inflight, func(b *batch) bool { return b.id == id })
}

// askAnswered: reads that came while the ask was open now know whether a
// number at or below theirs was granted to the batch, if it is still there. An
// ask repeated since gets numbers above them.
func (e *Evaluator) askAnswered(token uint64, b *batch) {
	for _, w := range e.reads {
		if w.ask != token {
			continue
		}
		w.ask = 0
		if b != nil && e.isInFlight(b.id) && b.lowest > 0 && b.lowest <= w.rev {
			w.batch = b.id
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
