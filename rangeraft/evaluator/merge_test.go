package evaluator

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// applyMerge is what a replica does with a step.
func (m *machine) applyMerge(step *pontoonpb.MergeStep) {
	key, suffix := MergeRecordKey(proto.SpanOf(m.desc.Span))
	switch step.GetKind() {
	case pontoonpb.MergeStep_BEGIN, pontoonpb.MergeStep_FREEZE:
		m.merge = &pontoonpb.MergeRecord{Step: step, Index: uint64(len(m.history)) + 1}
		m.locals[recordName(pontoonpb.Space_SPACE_MERGE, key, suffix)] =
			local{pontoonpb.Space_SPACE_MERGE, key, suffix, marshal(m.merge)}
		return
	case pontoonpb.MergeStep_TRIGGER:
		at, mark := MergedMarkKey(step)
		m.locals[recordName(pontoonpb.Space_SPACE_MERGE, at, mark)] =
			local{pontoonpb.Space_SPACE_MERGE, at, mark, []byte("merged")}
		m.desc = &pontoonpb.Descriptor{RangeId: m.desc.RangeId, Generation: 9,
			Span: &pontoonpb.Span{Start: m.desc.Span.Start, End: step.Right.Span.End}}
	case pontoonpb.MergeStep_ABORT, pontoonpb.MergeStep_UNFREEZE:
	default:
		return
	}
	m.merge = nil
	delete(m.locals, recordName(pontoonpb.Space_SPACE_MERGE, key, suffix))
}

// attempt merges range 3, up to "m", with range 4.
func attempt(kind pontoonpb.MergeStep_Kind, n uint64) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_MergeStep{MergeStep: &pontoonpb.MergeStepOp{Step: &pontoonpb.MergeStep{
		Kind: kind, Id: &pontoonpb.MergeID{LeftRangeId: 3, RightRangeId: 4, Counter: n},
		Left:        &pontoonpb.Descriptor{RangeId: 3, Generation: 1, Span: leftSpan.Wire()},
		Right:       &pontoonpb.Descriptor{RangeId: 4, Generation: 1, Span: rightSpan.Wire()},
		RightClosed: 40,
	}}}}
}

var (
	leftSpan  = proto.Span{Start: keys.UserSpan.Start, End: user("m")}
	rightSpan = proto.Span{Start: user("m"), End: keys.Max}
)

const (
	begin    = pontoonpb.MergeStep_BEGIN
	freeze   = pontoonpb.MergeStep_FREEZE
	trigger  = pontoonpb.MergeStep_TRIGGER
	giveUp   = pontoonpb.MergeStep_ABORT
	unfreeze = pontoonpb.MergeStep_UNFREEZE
)

func release(n uint64) *pontoonpb.RangeOp {
	op := resolve(n, false, 0)
	op.Span = rightSpan.Wire()
	return op
}

func rightRig(t *testing.T) *rig {
	r := newRig(t, rightSpan)
	r.m.desc.RangeId = 4
	return r
}

// P46: from proposing FREEZE the range serves, evaluates and closes nothing,
// and so does the next leader, until UNFREEZE of the same attempt is applied.
func TestFreeze_P46(t *testing.T) {
	r := rightRig(t)
	r.do(put("x", "1"))
	r.submit(put("y", "1"))
	id := r.submit(attempt(freeze, 1), put("z", "1"))
	r.grant()
	equal(t, "entries before it is drained", len(r.log), 1)
	r.apply()
	equal(t, "entries", len(r.log), 1)
	frozen := func() {
		t.Helper()
		equal(t, "frozen", r.ev.Frozen(), true)
		if _, ok := r.ev.IdleClosed(); ok {
			t.Fatal("closed while frozen")
		}
		n := RequestID(1000)
		delete(r.reads, n)
		r.ev.AdmitRead(n, point("x"), 11, nil)
		r.drain()
		equal(t, "read", proto.HasCode(r.reads[n].Err, pontoonpb.RangeErrorCode_NOT_PROPOSED), true)
		r.ev.Truncate(3, 1)
		r.drain()
	}
	frozen() // proposed
	equal(t, "closed", r.log[0].Closed, int64(r.seen))
	r.settle()
	frozen() // applied
	equal(t, "entries after", len(r.log), 0)
	equal(t, "index", r.reply(id).GetMergeStep().GetFrozenIndex(), 3)
	equal(t, "closed for good", r.reply(id).GetMergeStep().GetClosed(), int64(r.seen))
	r.code(id+1, pontoonpb.RangeErrorCode_NOT_PROPOSED)
	late := r.do(put("x", "2"), lockAs(1, true, write("x")), split("p"), attempt(freeze, 2), attempt(unfreeze, 2), attempt(begin, 3))
	for i, want := range []pontoonpb.RangeErrorCode{
		pontoonpb.RangeErrorCode_NOT_PROPOSED, pontoonpb.RangeErrorCode_NOT_PROPOSED, pontoonpb.RangeErrorCode_NOT_PROPOSED,
		pontoonpb.RangeErrorCode_REFUSED, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE, pontoonpb.RangeErrorCode_REFUSED,
	} {
		equal(t, "late request", late[i].GetError().GetCode(), want)
	}
	equal(t, "asks", len(r.asks), 0)

	r.lead(2)
	frozen()
	again := r.do(attempt(freeze, 1))[0]
	equal(t, "asked again", again.GetMergeStep().GetFrozenIndex(), 3)
	r.do(attempt(unfreeze, 1), put("x", "3"))
	equal(t, "x", r.get("x"), "3")
}

// P46: FREEZE that was dropped froze nothing.
func TestFreezeDropped_P46(t *testing.T) {
	r := rightRig(t)
	id := r.submit(attempt(freeze, 1), put("x", "1"))
	r.ev.Dropped(r.log[0].Batch)
	r.log = nil
	r.drain()
	r.settle()
	r.code(id, pontoonpb.RangeErrorCode_NOT_PROPOSED)
	r.code(id+1, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
}

// P46: FREEZE waits until no lock is held, and no further txn gets one
// meanwhile, one that has some may take more; the range serves all the while.
func TestFreezeWaitsForLocks_P46(t *testing.T) {
	r := rightRig(t)
	r.do(lockAs(1, false, write("x")))
	id := r.submit(attempt(freeze, 1))
	later := r.submit(lockAs(2, false, write("y")))
	r.settle()
	r.unanswered(id, later)
	more := r.submit(lockAs(1, false, write("z")), put("p", "1"))
	r.settle()
	r.code(more, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	r.code(more+1, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	r.do(release(1))
	r.code(id, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	r.code(later, pontoonpb.RangeErrorCode_NOT_PROPOSED)
	equal(t, "frozen", r.ev.Frozen(), true)
}

// P46: who gives the waiting up lets the locks go on.
func TestFreezeGivenUp_P46(t *testing.T) {
	r := rightRig(t)
	r.do(lockAs(1, false, write("x")))
	id := r.submit(attempt(freeze, 1))
	later := r.submit(lockAs(2, false, write("y")))
	r.unanswered(id, later)
	equal(t, "taken back", r.ev.Cancel(id), true)
	r.drain()
	r.settle()
	r.code(later, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	r.do(release(1), release(2))
	equal(t, "frozen", r.ev.Frozen(), false)
}

// P46: TRIGGER follows its own BEGIN only; from BEGIN no txn gets a first lock,
// and nobody splits the range. What waited goes on in the merged range, which
// has closed what either side had.
func TestTrigger_P46(t *testing.T) {
	r := newRig(t, leftSpan)
	r.do(put("a", "1"))
	early := r.do(attempt(trigger, 1))[0]
	equal(t, "trigger without begin", early.GetError().GetCode(), pontoonpb.RangeErrorCode_REFUSED)
	r.do(attempt(begin, 1), put("a", "2"))
	locked := r.submit(lockAs(1, false, write("b")))
	r.settle()
	r.unanswered(locked)
	refused := r.do(split("c"), attempt(begin, 2), attempt(trigger, 2))
	for _, reply := range refused {
		equal(t, "while it is remembered", reply.GetError().GetCode(), pontoonpb.RangeErrorCode_REFUSED)
	}
	id := r.submit(attempt(trigger, 1), put("x", "1"), put("b", "1"))
	equal(t, "asks while it is in flight", len(r.asks), 0)
	equal(t, "closed", r.log[0].Closed, 40)
	r.apply()
	r.code(id, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	equal(t, "asks", len(r.asks), 1)
	r.next = 50 // above what either side had closed
	r.settle()
	r.code(locked, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	equal(t, "right of the seam", r.get("x"), "1")
	equal(t, "read there", r.ev.AdmitRead(500, point("x"), 60, nil), true)
	r.unanswered(id + 2) // behind the lock
}

// P46: the answer to an attempt that is not remembered: aborted, unless its mark
// says that it was triggered; and it leaves only under a proven lease (P11).
func TestAbort_P46(t *testing.T) {
	r := newRig(t, leftSpan)
	id := r.submit(attempt(giveUp, 1))
	r.code(id, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	equal(t, "lease is checked", r.answers[id].CheckLease, true)
	r.do(attempt(begin, 1), attempt(giveUp, 1))
	late := r.do(attempt(trigger, 1))[0]
	equal(t, "trigger after abort", late.GetError().GetCode(), pontoonpb.RangeErrorCode_REFUSED)

	r.do(attempt(begin, 2), attempt(trigger, 2))
	merged := r.do(attempt(giveUp, 2))[0]
	equal(t, "abort after trigger", merged.GetError().GetCode(), pontoonpb.RangeErrorCode_REFUSED)
	elsewhere := newRig(t, rightSpan).do(attempt(giveUp, 2))[0]
	equal(t, "another range", elsewhere.GetError().GetCode(), pontoonpb.RangeErrorCode_RANGE_MISMATCH)
}

// P46: a step decided over another generation is refused.
func TestMergeOfChangedRange_P46(t *testing.T) {
	r := newRig(t, leftSpan)
	r.m.desc.Generation = 2
	equal(t, "begin", r.do(attempt(begin, 1))[0].GetError().GetCode(), pontoonpb.RangeErrorCode_REFUSED)
	right := rightRig(t)
	right.m.desc.Generation = 2
	equal(t, "freeze", right.do(attempt(freeze, 1))[0].GetError().GetCode(), pontoonpb.RangeErrorCode_REFUSED)
}

// P38: a merge unites the registrations of a lease; where the two sides do not
// touch or are not of one incarnation its home is asked again.
func TestMergeUnitesRegistrations_P38(t *testing.T) {
	r := newRig(t, leftSpan)
	reg := func(at proto.Span, lease int64, incarnation uint64, span proto.Span) {
		r.m.effect(regPut(at.Start, &pontoonpb.LeaseRegistration{Lease: lease, Incarnation: incarnation, Span: span.Wire()}))
	}
	reg(leftSpan, 1, 7, leftSpan)
	reg(rightSpan, 1, 7, rightSpan) // both: united
	reg(rightSpan, 2, 7, rightSpan) // right only: moved
	reg(leftSpan, 3, 7, leftSpan)
	reg(rightSpan, 3, 8, rightSpan) // another incarnation: void
	reg(leftSpan, 4, 7, spanOf("", "c"))
	reg(rightSpan, 4, 7, rightSpan) // a hole between: the left one stays
	r.do(attempt(begin, 1), attempt(trigger, 1))
	r.next = 50
	r.do(leasedPut("a", "1", 1), leasedPut("x", "1", 1), leasedPut("x", "2", 2), leasedPut("b", "1", 4))
	equal(t, "asked", len(r.regs), 0)
	for i, op := range []*pontoonpb.RangeOp{leasedPut("a", "2", 2), leasedPut("a", "3", 3), leasedPut("x", "4", 4)} {
		r.submit(op)
		equal(t, "asked", len(r.regs), i+1)
	}
	n := 0
	_ = r.m.Locals(pontoonpb.Space_SPACE_REG, rightSpan, func(_, _, _ []byte) bool { n++; return true })
	equal(t, "records left at the seam", n, 0)
}
