package evaluator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// merging is the evaluator's part in a merge (P46).
//
//	left   BEGIN (drained, unlocked) --no new locks--> TRIGGER (drained) | ABORT
//	right  FREEZE (drained, unlocked) --nothing at all--> UNFREEZE
type merging struct {
	record *pontoonpb.MergeRecord // applied; nil: no merge under way
	// waiting is the BEGIN or FREEZE that waits until no lock is held. Meanwhile
	// and while BEGIN is remembered, no txn without locks here gets one: a merge
	// would never find the moment otherwise.
	waiting *request
	aside   []*request // lock requests that wait for that
}

// errAside: the request waits until no merge is in its way.
var errAside = fmt.Errorf("evaluator: once the merge is over")

// errUnlocked: the step waits until no lock is held.
var errUnlocked = fmt.Errorf("evaluator: once no lock is held")

// MergeRecordKey is where a range remembers the merge that is under way.
func MergeRecordKey(span proto.Span) (key, suffix []byte) { return span.Start, nil }

// MergedMarkKey is where it stays known that the right range was merged into
// the left one: beside the left one's first key, whichever range holds that
// later.
func MergedMarkKey(step *pontoonpb.MergeStep) (key, suffix []byte) {
	return step.GetLeft().GetSpan().GetStart(), binary.BigEndian.AppendUint64(nil, step.GetRight().GetRangeId())
}

// loadMerge reads what a new leader has to go on with.
func (e *Evaluator) loadMerge() error {
	key, suffix := MergeRecordKey(e.span)
	value, err := e.opts.State.Local(pontoonpb.Space_SPACE_MERGE, key, suffix)
	if err != nil || value == nil {
		return err
	}
	record := &pontoonpb.MergeRecord{}
	if err := record.UnmarshalVT(value); err != nil {
		return fmt.Errorf("merge record: %w", err)
	}
	e.merging.record = record
	return nil
}

// Merge returns the merge that the range remembers; nil: none. It is shared.
func (e *Evaluator) Merge() *pontoonpb.MergeRecord { return e.merging.record }

// SetMerge tells what the range remembers after a step was applied. The driver
// calls it before Applied.
func (e *Evaluator) SetMerge(record *pontoonpb.MergeRecord) {
	e.merging.record = record
	if e.Frozen() {
		e.refuseFrozen()
	}
}

// Frozen reports whether the range serves, evaluates and closes nothing: from
// proposing FREEZE until UNFREEZE is applied (P46).
func (e *Evaluator) Frozen() bool {
	if e.merging.record.GetStep().GetKind() == pontoonpb.MergeStep_FREEZE {
		return true
	}
	n := len(e.inflight)
	return n > 0 && e.inflight[n-1].merge.GetKind() == pontoonpb.MergeStep_FREEZE
}

// ErrFrozen refuses what comes to a frozen range. Nothing was proposed, so that
// gateways try again until the range is merged or serves again.
func ErrFrozen() *proto.RangeError {
	return proto.Errorf(pontoonpb.RangeErrorCode_NOT_PROPOSED, "range is being merged into its left neighbour")
}

// refuseFrozen answers what was queued when the range froze.
func (e *Evaluator) refuseFrozen() {
	for _, rs := range [][]*request{e.queue, e.merging.aside, e.onSeen, e.onBatch} {
		for _, r := range rs {
			if r.op.GetMergeStep() == nil {
				e.refuse(r, ErrFrozen())
			}
		}
	}
	e.merging.aside, e.onSeen, e.onBatch = nil, nil, nil
}

// holdLocks reports whether a txn must wait before it takes a first lock here.
func (e *Evaluator) holdLocks(txn *pontoonpb.TxnID) bool {
	held := e.merging.waiting != nil || e.merging.record.GetStep().GetKind() == pontoonpb.MergeStep_BEGIN
	return held && len(e.locks.of(keyOf(txn))) == 0
}

// stopWaiting ends the waiting of a step that went on or went away.
func (e *Evaluator) stopWaiting(r *request) {
	if e.merging.waiting == r {
		e.merging.waiting = nil
		e.wakeAside()
	}
}

// wakeAside evaluates again the lock requests that waited for a merge.
func (e *Evaluator) wakeAside() {
	rs := e.merging.aside
	e.merging.aside = nil
	e.requeue(rs...)
}

// wakeMerge evaluates the waiting step when the last lock is gone.
func (e *Evaluator) wakeMerge() {
	if w := e.merging.waiting; w != nil && e.locks.empty() && !slices.Contains(e.queue, w) {
		e.requeue(w)
	}
}

func (t *lockTable) empty() bool { return len(t.txns) == 0 }

func sameMerge(a, b *pontoonpb.MergeID) bool { return gproto.Equal(a, b) }

// evalMergeStep proposes a step of a merge, alone and over a drained range
// (P15).
func (e *Evaluator) evalMergeStep(b *batch, r *request, step *pontoonpb.MergeStep) (*member, error) {
	record := e.merging.record.GetStep()
	mine := record != nil && sameMerge(record.Id, step.Id)
	switch step.Kind {
	case pontoonpb.MergeStep_BEGIN, pontoonpb.MergeStep_FREEZE:
		if mine && record.Kind == step.Kind {
			return mergeMember(e.merging.record), nil // asked again
		}
		if err := e.mayStart(step); err != nil {
			return nil, err
		}
		if e.merging.waiting != nil && e.merging.waiting != r {
			return nil, refusef("another merge of the range waits")
		}
		if !e.locks.empty() {
			return nil, errUnlocked
		}
	case pontoonpb.MergeStep_TRIGGER:
		if !mine || record.Kind != pontoonpb.MergeStep_BEGIN {
			return nil, refusef("the merge was aborted")
		}
		if !e.locks.empty() {
			return nil, errUnlocked
		}
	case pontoonpb.MergeStep_ABORT:
		if !mine {
			return e.notRemembered(step)
		}
	case pontoonpb.MergeStep_UNFREEZE:
		if !mine || record.Kind != pontoonpb.MergeStep_FREEZE {
			return mergeMember(nil), nil
		}
	case pontoonpb.MergeStep_FORGET:
		if key, _ := MergedMarkKey(step); !e.span.Contains(key) {
			return nil, e.mismatch()
		}
	default:
		return nil, refusef("merge step %s", step.Kind)
	}
	if !e.drained(b) {
		return nil, errDrain
	}
	return e.proposeMerge(b, r, step)
}

// mayStart refuses a BEGIN or FREEZE that was decided over something else.
func (e *Evaluator) mayStart(step *pontoonpb.MergeStep) error {
	if e.merging.record != nil {
		return refusef("range %d is being merged already", e.desc.RangeId)
	}
	want := step.Left
	if step.Kind == pontoonpb.MergeStep_FREEZE {
		want = step.Right
	}
	if want.GetRangeId() != e.desc.RangeId || want.GetGeneration() != e.desc.Generation {
		return refusef("range %d has changed", want.GetRangeId())
	}
	return nil
}

// notRemembered answers an ABORT of an attempt that is not remembered. It was
// triggered, which is marked beside the left range's first key, or aborted
// before: the answer leaves only if this leader is proven to be the present one
// (P11), since one from before BEGIN knows nothing.
func (e *Evaluator) notRemembered(step *pontoonpb.MergeStep) (*member, error) {
	key, suffix := MergedMarkKey(step)
	if !e.span.Contains(key) {
		return nil, e.mismatch()
	}
	mark, err := e.record(pontoonpb.Space_SPACE_MERGE, key, suffix)
	if err != nil {
		return nil, err
	}
	if mark != nil {
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "range %d was merged", step.GetRight().GetRangeId())
	}
	return mergeMember(nil), nil
}

func mergeMember(record *pontoonpb.MergeRecord) *member {
	return &member{reply: &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_MergeStep{MergeStep: &pontoonpb.MergeStepReply{
		FrozenIndex: record.GetIndex(), Closed: record.GetStep().GetRightClosed(),
	}}}}
}

func (e *Evaluator) proposeMerge(b *batch, r *request, step *pontoonpb.MergeStep) (*member, error) {
	b.alone = true
	b.merge = gproto.CloneOf(step)
	switch step.Kind {
	case pontoonpb.MergeStep_FREEZE:
		b.merge.RightClosed = int64(max(e.closed, e.closable())) // final: nothing closes after
	case pontoonpb.MergeStep_TRIGGER:
		effects, err := e.uniteRegistrations(step.Right)
		if err != nil {
			return nil, err
		}
		e.write(b, effects...)
	}
	e.stopWaiting(r)
	m := mergeMember(nil)
	m.mutates = true
	return m, nil
}

// mergeClosed is what the entry of a step closes beside the usual.
func (b *batch) mergeClosed() proto.Revision {
	switch b.merge.GetKind() {
	case pontoonpb.MergeStep_FREEZE, pontoonpb.MergeStep_TRIGGER:
		return proto.Revision(b.merge.RightClosed)
	}
	return 0
}

// mergeApplied completes the answer of an applied step and lets go on what
// waited for it.
func (e *Evaluator) mergeApplied(b *batch) {
	if b.merge == nil {
		return
	}
	b.members[0].reply = mergeMember(e.merging.record).reply
	e.wakeAside()
}

// uniteRegistrations moves the right range's registrations to where those of
// the merged one count (P38). Where the two of a lease do not touch, or are of
// different incarnations, puts ask its home again: it still knows all spans.
func (e *Evaluator) uniteRegistrations(right *pontoonpb.Descriptor) ([]*pontoonpb.Effect, error) {
	var effects []*pontoonpb.Effect
	var bad error
	start, span := e.userSpan().Start, proto.SpanOf(right.Span)
	if e.userSpan().Empty() {
		return nil, nil
	}
	err := e.opts.State.Locals(pontoonpb.Space_SPACE_REG, span, func(at, suffix, value []byte) bool {
		effects = append(effects, regDelete(at, suffix))
		if !bytes.Equal(at, span.Intersect(keys.UserSpan).Start) {
			return true // does not count
		}
		reg, own := &pontoonpb.LeaseRegistration{}, (*pontoonpb.LeaseRegistration)(nil)
		if bad = reg.UnmarshalVT(value); bad != nil {
			return false
		}
		if own, bad = e.registered(proto.LeaseID(reg.Lease)); bad != nil {
			return false
		}
		switch {
		case own == nil:
			effects = append(effects, regPut(start, reg))
		case own.Incarnation != reg.Incarnation:
			effects = append(effects, regDelete(start, suffix))
		case bytes.Compare(own.Span.End, reg.Span.Start) >= 0:
			own.Span = hull(proto.SpanOf(own.Span), proto.SpanOf(reg.Span)).Wire()
			effects = append(effects, regPut(start, own))
		}
		return true
	})
	if err == nil {
		err = bad
	}
	return effects, err
}
