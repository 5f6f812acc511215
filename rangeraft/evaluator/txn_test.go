package evaluator

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

const none = pontoonpb.RangeErrorCode_RANGE_ERROR_NONE

// P29: the anchor's lock entry is the pending record; commit checks it, takes
// one number and writes record, effects and unlock in one entry.
func TestP29CommitIsOneStep(t *testing.T) {
	r := userRig(t)
	r.do(anchorLock(1, write("a")))
	equal(t, "state", r.m.record(user("a"), txnID(1)).State, pontoonpb.TxnState_TXN_PENDING)

	effect := putEffect("a", "t")
	id := r.submit(put("b", "1"), commit(1, effect, putEffect("zz", "t")))
	equal(t, "numbers", r.asks[0].Count, 2)
	r.grant()
	equal(t, "entries", len(r.log), 1)
	r.apply()
	equal(t, "revision", r.reply(id+1).GetCommit().Revision, 12)
	rec := r.m.record(user("a"), txnID(1))
	equal(t, "state", rec.State, pontoonpb.TxnState_TXN_COMMITTED)
	equal(t, "revision of the record", rec.Revision, 12)
	equal(t, "effects of all ranges", len(rec.Effects), 2)
	equal(t, "rev is filled in", rec.Effects[1].Rev, 12)
	equal(t, "create revision is filled in", rec.Effects[1].CreateRevision, 12)
	equal(t, "locks", len(r.m.locks()), 0)
	equal(t, "a", r.get("a"), "t")
	equal(t, "the caller's effect is untouched", effect.CreateRevision, 1<<62)
	again := r.do(commit(1, putEffect("a", "x")), abort(1))
	equal(t, "repeated commit", again[0].GetCommit().Revision, 12)
	equal(t, "abort after commit", again[1].GetAbort().Committed.GetRevision(), 12)
	r.do(forget(1))
	if r.m.record(user("a"), txnID(1)) != nil {
		t.Fatal("the record is still there")
	}
}

// P29: commit without a pending record fails, abort removes it.
func TestP29AbortBeforeCommit(t *testing.T) {
	r := userRig(t)
	r.do(anchorLock(1, write("a")))
	id := r.submit(forget(1), abort(1), commit(1, putEffect("a", "t")), put("a", "1"))
	r.settle()
	r.code(id, pontoonpb.RangeErrorCode_REFUSED) // pending is not forgotten
	r.code(id+1, none)
	r.code(id+2, pontoonpb.RangeErrorCode_TXN_NOT_PENDING)
	r.code(id+3, none)
	equal(t, "a", r.get("a"), "1")
	equal(t, "locks", len(r.m.locks()), 0)
}

// P29: no record, answered by a leader that may be deposed: the lease is
// checked first.
func TestP29NoRecordIsCheckedUnderLease(t *testing.T) {
	r := userRig(t)
	id := r.submit(abort(1), resolve(2, false, 0))
	equal(t, "abort", r.answers[id].CheckLease, true)
	equal(t, "resolve", r.answers[id+1].CheckLease, true)
}

// A commit and an abort of the same txn in one batch: the abort sees the number.
func TestCommitThenAbortInOneBatch(t *testing.T) {
	r := userRig(t)
	r.do(anchorLock(1, write("a")))
	id := r.submit(commit(1, putEffect("a", "t")), abort(1))
	r.settle()
	equal(t, "revision", r.reply(id+1).GetAbort().Committed.GetRevision(), r.reply(id).GetCommit().Revision)
}

// P30: a write lock keeps closed at its floor until it is gone; a shared one
// does not.
func TestP30WriteLockHoldsClosed(t *testing.T) {
	r := userRig(t)
	r.do(put("x", "1"))
	equal(t, "floor", r.do(lockAs(1, false, shared("s"), write("k")))[0].GetLock().Floor, 11)
	r.do(put("x", "2"), put("x", "3"))
	equal(t, "closed by entries", r.m.closed, 11)
	c, ok := r.ev.IdleClosed()
	equal(t, "idle", ok, true)
	equal(t, "closed idle", c, 11)
	r.lead(2) // a new leader is held back too
	r.do(put("x", "4"))
	equal(t, "closed by the new leader", r.m.closed, 11)
	r.do(resolve(1, true, 14, putEffect("k", "t")))
	equal(t, "closed with the unlock", r.m.closed, 14)
	r.do(lockAs(1, false, shared("s")), put("x", "5"))
	equal(t, "closed under a shared lock", r.m.closed, 15)
}

// P31: effects count only under the txn's own lock with a floor below the
// revision, once.
func TestP31ResolveOnlyUnderOwnLock(t *testing.T) {
	r := userRig(t)
	r.do(lockAs(1, false, write("k"), shared("s")))
	r.next = 50
	id := r.submit(resolve(1, true, 20, putEffect("k", "t"), putEffect("s", "t"), putEffect("other", "t")))
	r.settle()
	r.code(id, none)
	equal(t, "k", r.get("k"), "t")
	equal(t, "under a shared lock", r.get("s"), "")
	equal(t, "under no lock", r.get("other"), "")
	equal(t, "locks", len(r.m.locks()), 0)
	r.do(put("k", "later"))
	r.do(resolve(1, true, 20, putEffect("k", "t")))
	equal(t, "k after a repeated resolve", r.get("k"), "later")
	// A lock taken after the txn's revision was taken: only removed.
	r.do(lockAs(1, false, write("k")))
	r.do(resolve(1, true, 20, putEffect("k", "t")))
	equal(t, "k", r.get("k"), "later")
	equal(t, "locks", len(r.m.locks()), 0)
}

// P32: locks past the deadline are reported without anyone waiting, once a
// deadline; those of a suspected node at once.
func TestP32Blocked(t *testing.T) {
	r := userRig(t)
	r.do(lockAs(1, false, write("k"), write("m")), lockAs(2, false, write("x")))
	r.ev.Tick(r.ev.opts.BlockedAfter - 1)
	r.drain()
	equal(t, "before the deadline", len(r.blocked), 0)
	r.ev.NodeSuspect(2)
	r.drain()
	equal(t, "suspect", r.blocked[0].Txn.Node, 2)
	r.blocked = nil
	r.ev.Tick(r.ev.opts.BlockedAfter)
	r.ev.Tick(r.ev.opts.BlockedAfter + 1)
	r.drain()
	equal(t, "reports", len(r.blocked), 1)
	equal(t, "txn", r.blocked[0].Txn.Node, 1)
	equal(t, "anchor", string(r.blocked[0].AnchorKey), string(user("a")))
	equal(t, "covers k", r.blocked[0].Span.Covers(point("k")), true)
	equal(t, "covers m", r.blocked[0].Span.Covers(point("m")), true)
	r.ev.Tick(3 * r.ev.opts.BlockedAfter)
	r.drain()
	equal(t, "reports at the next deadline", len(r.blocked), 3)
}

// P35: all locks or none, in one entry; a waiting request gets them later, one
// that does not wait fails fast.
func TestP35AllOrNone(t *testing.T) {
	r := userRig(t)
	r.do(lockAs(1, false, write("k")))
	id := r.submit(lockAs(2, false, write("j"), write("k")), lockAs(3, true, write("j"), write("k")), put("j", "1"))
	r.code(id, pontoonpb.RangeErrorCode_LOCKED)
	equal(t, "blocked by", r.reply(id).Error.Txn.Node, 1)
	r.settle()
	r.unanswered(id + 1)
	r.code(id+2, none)
	equal(t, "locks", len(r.m.locks()), 1)
	r.submit(resolve(1, false, 0))
	equal(t, "entries", len(r.log), 1)
	equal(t, "effects: an unlock and two locks in one entry", len(r.log[0].Effects), 3)
	r.settle()
	r.code(id+1, none)
	equal(t, "locks", len(r.m.locks()), 2)
}

// Locks and requests: writes wait for both kinds, reads for write locks, and
// the order of arrival is kept when they go on.
func TestLockConflicts(t *testing.T) {
	r := userRig(t)
	r.do(put("s", "0"), put("w", "0"), lockAs(1, false, shared("s"), write("w")))
	readS := r.submit(txn(nil, []*pb.RequestOp{rangeReq("s", 0)}, nil), lockAs(2, false, shared("s")))
	waiting := r.submit(
		put("s", "1"), put("w", "1"), txn(nil, []*pb.RequestOp{rangeReq("w", 0)}, nil),
		txn(valueIs("w", "0"), nil, nil), del("a", "z"), put("w", "2"),
	)
	r.settle()
	r.code(readS, none)
	r.code(readS+1, none)
	for i := range RequestID(6) {
		r.unanswered(waiting + i)
	}
	r.next, r.seen = 31, 30
	r.do(resolve(2, false, 0))
	r.do(resolve(1, true, 30, putEffect("w", "t")))
	equal(t, "read after the txn", string(r.reply(waiting + 2).GetWrite().Response.GetResponseTxn().Responses[0].GetResponseRange().Kvs[0].Value), "1")
	equal(t, "compare after the txn", r.reply(waiting+3).GetWrite().Response.GetResponseTxn().Succeeded, false)
	equal(t, "deleted", r.reply(waiting+4).GetWrite().Response.GetResponseDeleteRange().Deleted, 2)
	equal(t, "w", r.get("w"), "2")
}

// A lock that waited because of a batch that died is not waited for any more.
func TestDroppedLockFreesWaiters(t *testing.T) {
	r := userRig(t)
	r.submit(lockAs(1, false, write("k")))
	id := r.submit(put("k", "1"))
	r.unanswered(id)
	r.ev.Dropped(r.log[0].Batch)
	r.log = nil
	r.drain()
	r.settle()
	r.code(id, none)
}

// An unlock that was dropped holds again, and what was closed with it is not.
func TestP18DroppedUnlockHoldsClosedAgain(t *testing.T) {
	r := userRig(t)
	r.do(lockAs(1, false, write("k"))) // floor 10
	r.seen, r.next = 12, 13
	r.submit(resolve(1, true, 12, putEffect("k", "t")))
	equal(t, "closed by the unlock", r.log[0].Closed, 12)
	r.ev.Dropped(r.log[0].Batch)
	r.log = nil
	r.drain()
	c, _ := r.ev.IdleClosed()
	equal(t, "closed idle", c, 10)
	r.do(put("x", "1"))
	equal(t, "closed", r.m.closed, 10)
	id := r.submit(put("k", "1"))
	r.do(resolve(1, true, 12, putEffect("k", "t")))
	r.settle()
	r.code(id, none)
	equal(t, "k", r.get("k"), "1")
}

// The reply of a lock request is read under the locks, by the driver.
func TestLockReplyCarriesWhatToRead(t *testing.T) {
	r := userRig(t)
	op := lockAs(1, false, write("k"))
	op.GetLock().Reads = []*pb.RangeRequest{{Key: []byte("k")}}
	id := r.submit(op)
	r.settle()
	equal(t, "reads", len(r.answers[id].LockedReads.Reads), 1)
}

// P15: a split drains the range, is proposed alone, and until it is applied
// nothing is evaluated or closed and nothing of the right side served.
func TestP15SplitIsABarrier(t *testing.T) {
	r := userRig(t)
	r.do(put("b", "1"), put("x", "1"))
	r.submit(put("c", "1"))
	r.grant()
	id := r.submit(split("m"), put("b", "2"), put("x", "2"))
	equal(t, "entries", len(r.log), 1)
	r.apply()
	equal(t, "split", string(r.log[0].Split.Key), string(user("m")))
	equal(t, "asks", len(r.asks), 0)
	if _, ok := r.ev.IdleClosed(); ok {
		t.Fatal("closed while a split is in flight")
	}
	equal(t, "left read", r.ev.AdmitRead(100, point("b"), 13, nil), true)
	equal(t, "right read", r.ev.AdmitRead(101, point("x"), 13, nil), false)
	r.apply()
	equal(t, "left", r.reply(id).GetSplit().Left.Generation, 2)
	r.settle()
	r.code(id+1, none)
	r.code(id+2, pontoonpb.RangeErrorCode_RANGE_MISMATCH)
	equal(t, "right read after", proto.HasCode(r.reads[101].Err, pontoonpb.RangeErrorCode_RANGE_MISMATCH), true)
	equal(t, "generation", r.m.history[len(r.m.history)-1].Generation, 2)
	r.do(put("b", "3"))
	equal(t, "b", r.get("b"), "3")
}

// P15: a split that was dropped leaves the whole range in service.
func TestP15SplitDropped(t *testing.T) {
	r := userRig(t)
	id := r.submit(split("m"), put("x", "1"))
	equal(t, "right read", r.ev.AdmitRead(101, point("x"), 10, nil), false)
	r.ev.Dropped(r.log[0].Batch)
	r.log = nil
	r.drain()
	r.settle()
	r.code(id, pontoonpb.RangeErrorCode_NOT_PROPOSED)
	r.code(id+1, none)
	if got, ok := r.reads[101]; !ok || got.Err != nil {
		t.Fatalf("right read: %v", got)
	}
}

// P35: a split cuts locks in two; floors stay.
func TestP35SplitCutsLocks(t *testing.T) {
	r := userRig(t)
	r.do(lockAs(1, false, lockSpan(pontoonpb.LockMode_LOCK_SHARED, spanOf("c", "x")), write("d"), write("l"), write("y")))
	r.do(put("b", "1"))
	blocked := r.submit(put("d", "1"), put("y", "1"))
	r.do(split("m"))
	r.code(blocked+1, pontoonpb.RangeErrorCode_RANGE_MISMATCH)
	got := map[string]string{}
	for _, l := range r.m.locks() {
		equal(t, "floor", l.Floor, 10)
		s := proto.SpanOf(l.What.Span)
		got[string(s.Start[1:])] = string(s.End[1:])
	}
	equal(t, "locks", len(got), 5)
	equal(t, "left part", got["c"], "m")
	equal(t, "right part", got["m"], "x")
	equal(t, "left read", r.ev.AdmitRead(100, point("l"), 11, nil), false)
	r.do(resolve2(1, spanOf("a", "m"), 20, putEffect("l", "t"), putEffect("p", "t")))
	r.code(blocked, none)
	equal(t, "l", r.get("l"), "t")
	equal(t, "p", r.get("p"), "")
	if rr, ok := r.reads[100]; !ok || rr.Err != nil {
		t.Fatal("the read under the left part was not let go")
	}
	equal(t, "right locks stay", len(r.m.locks()), 2)
}

func resolve2(n uint64, span proto.Span, rev int64, effects ...*pontoonpb.Effect) *pontoonpb.RangeOp {
	op := resolve(n, true, rev, effects...)
	op.Span = span.Wire()
	return op
}

func TestSplitKeyIsChecked(t *testing.T) {
	r := newRig(t, spanOf("b", "m"))
	id := r.submit(split("b"), split("z"))
	r.code(id, pontoonpb.RangeErrorCode_REFUSED)
	r.code(id+1, pontoonpb.RangeErrorCode_REFUSED)
	root := newRig(t, keys.MetaSpan)
	id = root.submit(&pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Split{Split: &pontoonpb.SplitOp{Key: []byte("\x01m")}}})
	root.code(id, pontoonpb.RangeErrorCode_REFUSED)
}

// P36: a span deletion of a txn is proposed alone.
func TestP36SpanDeletionOfTxn(t *testing.T) {
	r := userRig(t)
	r.do(put("c", "1"), put("d", "1"), put("e", "1"))
	r.do(lockAs(1, false, lockSpan(pontoonpb.LockMode_LOCK_WRITE, spanOf("c", "e"))))
	r.submit(put("x", "1"))
	r.grant()
	r.submit(resolve(1, true, 20, &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_DELETE_SPAN, Key: user("c"), End: user("e")}), put("d", "2"))
	equal(t, "entries before the range is drained", len(r.log), 1)
	r.next, r.seen = 21, 20
	r.settle()
	equal(t, "c", r.get("c"), "")
	equal(t, "d", r.get("d"), "2")
	equal(t, "e", r.get("e"), "1")
}

// P41: the floor goes through the range's log.
func TestP41Floor(t *testing.T) {
	r := userRig(t)
	op := func(f int64) *pontoonpb.RangeOp {
		return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Compact{Compact: &pontoonpb.CompactOp{Floor: f}}}
	}
	id := r.submit(op(5))
	equal(t, "asks", len(r.asks), 0)
	r.unanswered(id)
	r.settle()
	r.code(id, none)
	equal(t, "floor", r.m.floor, 5)
	id = r.submit(op(4))
	r.code(id, none)
	equal(t, "entries", len(r.log), 0)
}

// P31, P36: who resolves may know borders that are gone. A lock goes as a whole with
// all that stands under it, once, and what lies under other locks stays.
func TestP31ResolveOfAPart(t *testing.T) {
	r := userRig(t)
	for _, k := range []string{"c", "d", "n", "o", "w"} {
		r.do(put(k, "1"))
	}
	floor := int64(r.next) - 1
	r.do(lockAs(1, false, lockSpan(pontoonpb.LockMode_LOCK_WRITE, spanOf("c", "x")), write("y")))
	equal(t, "all", r.ev.AdmitRead(100, spanOf("a", "x"), proto.Revision(floor+2), nil), false)
	blocked := r.submit(put("w", "2"), put("y", "2"))
	rev := floor + 1
	r.next = proto.Revision(rev + 1)
	deletion := &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_DELETE_SPAN, Key: user("c"), End: user("x")}
	r.do(resolve2(1, spanOf("m", "o"), rev, deletion, putEffect("y", "t")))
	r.ready(100)
	r.code(blocked, none)
	r.unanswered(blocked + 1)
	equal(t, "locks", len(r.m.locks()), 1)
	for _, k := range []string{"c", "d", "n", "o"} {
		equal(t, k, r.get(k), "")
	}
	equal(t, "w", r.get("w"), "2")
	r.do(resolve2(1, spanOf("a", "m"), rev, deletion, putEffect("y", "t")))
	equal(t, "w after a repeat", r.get("w"), "2")
	equal(t, "y", r.get("y"), "")
	r.do(resolve2(1, spanOf("x", "z"), rev, deletion, putEffect("y", "t")))
	r.code(blocked+1, none)
	equal(t, "locks", len(r.m.locks()), 0)
}

// P31: a record of the system that a txn writes counts under the txn's lock only: whoever
// resolves once more, when the lock is gone, must not write it again.
func TestP31SystemRecordNeedsALock(t *testing.T) {
	r := userRig(t)
	r.do(put("c", "1"))
	written := func() string {
		v, err := r.m.Local(pontoonpb.Space_SPACE_SYS, user("y"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(v)
	}
	effect := &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Space: pontoonpb.Space_SPACE_SYS, Key: user("y"), Value: []byte("t")}
	rev := int64(r.next)
	r.next++
	r.do(lockAs(1, false, write("c")))
	r.do(resolve2(1, spanOf("a", "z"), rev, effect))
	equal(t, "without a lock over it", written(), "")
	r.do(lockAs(1, false, write("y")))
	r.do(resolve2(1, spanOf("a", "z"), rev, effect))
	equal(t, "with one", written(), "t")
	effect.Value = []byte("again")
	r.do(resolve2(1, spanOf("a", "z"), rev, effect))
	equal(t, "once more", written(), "t")
}

// P17, P36: a split waits for a write lock over its key: each side of a deletion
// would number its subs from the same one on.
func TestP36SplitWaitsForDeletion(t *testing.T) {
	r := userRig(t)
	r.do(lockAs(1, false, lockSpan(pontoonpb.LockMode_LOCK_WRITE, spanOf("c", "x"))))
	id := r.submit(split("m"))
	r.unanswered(id)
	beside := r.submit(put("y", "1"))
	r.settle()
	r.code(beside, none)
	r.unanswered(id)
	r.do(resolve2(1, spanOf("a", "z"), int64(r.next), &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_DELETE_SPAN, Key: user("c"), End: user("x")}))
	r.settle()
	r.code(id, none)
	r.do(put("d", "1"))
	id = r.submit(put("n", "1"))
	r.code(id, pontoonpb.RangeErrorCode_RANGE_MISMATCH)
}
