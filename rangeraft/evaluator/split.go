package evaluator

import (
	"bytes"
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// evalSplit proposes a split, alone and over a drained range (P15). Its entry
// also cuts what lies across the key: locks keep their floor on both sides
// (P35), registrations are clipped (P38). A write lock over the key is waited for: a
// deletion of its span is one effect, whose subs would begin anew on the other side
// of a cut (P17, P36).
func (e *Evaluator) evalSplit(b *batch, op *pontoonpb.SplitOp) (*member, error) {
	if bytes.Equal(op.Key, e.span.Start) {
		return nil, refusef("the key starts a range already")
	}
	if !e.span.Contains(op.Key) {
		return nil, refusef("the split key is not inside the range")
	}
	if keys.MetaSpan.Contains(op.Key) {
		return nil, refusef("the root range is not split")
	}
	if e.merging.record != nil {
		return nil, refusef("the range is being merged")
	}
	if Joint(e.desc) {
		return nil, refusef("a change of the replicas is under way")
	}
	across := e.locksAcross(op.Key)
	if i := slices.IndexFunc(across, (*held).writes); i >= 0 {
		return nil, &errLocked{across[i]}
	}
	if !e.drained(b) {
		return nil, errDrain
	}
	effects, err := e.splitRegistrations(op.Key)
	if err != nil {
		return nil, err
	}
	for _, h := range across {
		effects = append(effects,
			lockRecord(h.part(proto.Span{Start: h.span.Start, End: op.Key})),
			lockRecord(h.part(proto.Span{Start: op.Key, End: h.span.End})))
	}
	e.write(b, effects...)
	b.alone = true
	b.split = &pontoonpb.Split{Key: op.Key, RightRangeId: op.RightRangeId}
	return &member{
		mutates: true,
		reply:   &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Split{Split: &pontoonpb.SplitReply{}}},
	}, nil
}

// locksAcross returns the locks that a border at key would cut.
func (e *Evaluator) locksAcross(key []byte) (across []*held) {
	e.locks.overlapping(keys.Point(key), func(h *held) bool {
		if bytes.Compare(h.span.Start, key) < 0 {
			across = append(across, h)
		}
		return true
	})
	return across
}

// SplitsOff reports whether a split is under way that takes some of span away. Until
// its fate is applied nothing of that is served: where this replica's log is slow
// the right side may have another leader already (P15).
func (e *Evaluator) SplitsOff(span proto.Span) bool {
	return slices.ContainsFunc(e.inflight, func(b *batch) bool { return b.splitsOff(span) })
}

func (b *batch) splitsOff(span proto.Span) bool {
	return b.split != nil && bytes.Compare(b.split.Key, span.End) < 0
}

// ErrSplitting refuses what a split under way may take away. Nothing was proposed,
// so that the caller may send it again.
func ErrSplitting() *proto.RangeError {
	return proto.Errorf(pontoonpb.RangeErrorCode_NOT_PROPOSED, "range is being split")
}

// part is the lock on a part of its span.
func (h *held) part(span proto.Span) *held {
	return &held{
		txn: h.txn, span: span, ordinal: h.ordinal,
		lock: &pontoonpb.Lock{
			Txn: h.lock.Txn, AnchorKey: h.lock.AnchorKey, Floor: h.lock.Floor,
			What: &pontoonpb.LockSpan{Span: span.Wire(), Mode: h.lock.What.Mode, Lease: h.lock.What.Lease},
		},
	}
}

// narrow gives up what no longer lies in the range. What waited for it is
// evaluated again, or refused with the new descriptor.
func (e *Evaluator) narrow() {
	for _, txn := range e.locks.sortedTxns() {
		for _, h := range slices.Clone(e.locks.txns[txn]) {
			inside := h.span.Intersect(e.span)
			switch {
			case inside.Empty():
				h.revoke = 0 // the other side's lessor goes on with it
				e.dropLock(h)
			case !e.span.Covers(h.span):
				e.locks.remove(h)
				h.lock, h.span = h.part(inside).lock, inside
				e.locks.add(h)
			}
		}
	}
	kept := e.reads[:0]
	for _, w := range e.reads {
		if e.span.Covers(w.span) {
			kept = append(kept, w)
		} else {
			e.emit(ReadReady{ID: w.id, Err: proto.Mismatch(e.desc)})
		}
	}
	e.reads = kept
	e.readsDirty = true
}
