package evaluator

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func (r *rig) waits(id RequestID) {
	r.t.Helper()
	if _, ok := r.reads[id]; ok {
		r.t.Fatalf("read %d is ready early", id)
	}
}

func (r *rig) ready(id RequestID) {
	r.t.Helper()
	if got, ok := r.reads[id]; !ok || got.Err != nil {
		r.t.Fatalf("read %d is not ready: %v", id, got.Err)
	}
}

// P20: a read waits for an ask sent before it came, then for what that ask
// brought at or below its revision.
func TestP20ReadWaitsForEarlierAsk(t *testing.T) {
	r := userRig(t)
	equal(t, "nothing in flight", r.ev.AdmitRead(100, point("a"), 10, nil), true)
	r.submit(put("a", "1"))
	equal(t, "ask open, above", r.ev.AdmitRead(101, point("a"), 10, nil), false)
	equal(t, "ask open, at", r.ev.AdmitRead(102, point("a"), 11, nil), false)
	r.grant()
	r.ready(101) // the grant is above
	r.waits(102)
	r.apply()
	r.ready(102)
}

// P20: asks sent after the read came do not hold it.
func TestP20ReadDoesNotWaitForLaterAsk(t *testing.T) {
	r := userRig(t)
	r.submit(put("a", "1"))
	r.grant()
	equal(t, "in flight", r.ev.AdmitRead(100, point("b"), 11, nil), false)
	equal(t, "below what is in flight", r.ev.AdmitRead(101, point("b"), 10, nil), true)
	r.submit(put("a", "2"))
	r.apply()
	equal(t, "asks", len(r.asks), 1)
	r.ready(100)
}

// P20: an ask that failed or was refused holds no read: the next one gets more.
func TestP20RefusedGrantFreesReads(t *testing.T) {
	r := userRig(t)
	r.submit(put("a", "1"))
	r.ev.AdmitRead(100, point("a"), 10, nil)
	r.granted(Grant{First: 9, Read: 8}, nil)
	r.ready(100)
	equal(t, "asks", len(r.asks), 1)
}

// P20: only a write lock with a lower floor that overlaps the read's span
// holds it, and only if it was there before.
func TestP20ReadAndLocks(t *testing.T) {
	r := userRig(t)
	r.do(put("x", "1"))                             // 11
	r.do(lockAs(1, false, write("k"), shared("s"))) // floor 11
	equal(t, "at the floor", r.ev.AdmitRead(100, point("k"), 11, nil), true)
	equal(t, "another key", r.ev.AdmitRead(101, point("l"), 12, nil), true)
	equal(t, "shared", r.ev.AdmitRead(102, point("s"), 12, nil), true)
	equal(t, "above the floor", r.ev.AdmitRead(103, spanOf("a", "z"), 12, nil), false)
	equal(t, "own lock", r.ev.AdmitRead(104, point("k"), 12, txnID(1)), true)
	r.submit(lockAs(2, false, write("q")))
	equal(t, "lock in flight", r.ev.AdmitRead(105, point("q"), 12, nil), true)
	r.settle()
	r.waits(103)
	r.submit(resolve(1, true, 12, putEffect("k", "t")))
	r.waits(103)
	r.apply()
	r.ready(103)
}

// P20, P37: a lock on a lease holds only reads of what is attached to it.
func TestP20ReadAndLeaseLocks(t *testing.T) {
	r := userRig(t)
	r.registerAll(7)
	r.do(leasedPut("b", "1", 7), put("c", "1"))
	r.do(lockAs(1, false, leaseLock(7, spanOf("a", "z"))))
	equal(t, "not attached", r.ev.AdmitRead(100, point("c"), 40, nil), true)
	equal(t, "attached", r.ev.AdmitRead(101, point("b"), 40, nil), false)
	equal(t, "span with an attached key", r.ev.AdmitRead(102, spanOf("a", "c"), 40, nil), false)
	// Its removal is evaluated, and waits for the ask of a request beside it.
	r.next, r.seen = 41, 40
	r.submit(del("x", ""), resolve(1, true, 40, &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_DELETE, Key: user("b"), PrevLease: 7, Fresh: true,
	}))
	equal(t, "removal evaluated", r.ev.AdmitRead(103, point("b"), 40, nil), false)
	r.settle()
	r.ready(101)
	r.ready(102)
	r.ready(103)
}

// P19: outside an entry a range closes only with nothing in flight.
func TestP19IdleClosed(t *testing.T) {
	r := userRig(t)
	r.seen = 15
	c, ok := r.ev.IdleClosed()
	equal(t, "idle", ok, true)
	equal(t, "closed", c, 15)
	r.next = 16
	r.submit(put("a", "1"))
	if _, ok := r.ev.IdleClosed(); ok {
		t.Fatal("closed while an ask is open")
	}
	// A grant at or below what was closed before the ask is refused.
	r.granted(Grant{First: 15, Read: 14}, nil)
	equal(t, "entries", len(r.log), 0)
	r.grant()
	if _, ok := r.ev.IdleClosed(); ok {
		t.Fatal("closed while an entry is in flight")
	}
	r.apply()
	c, _ = r.ev.IdleClosed()
	equal(t, "closed", c, 16)
}

// P18: an entry closes at what is seen when it is proposed, and never less than
// before; a new leader whose node saw less starts from what is applied.
func TestP18ClosedInEntries(t *testing.T) {
	r := userRig(t)
	r.do(put("a", "1"))
	equal(t, "closed", r.m.closed, 11)
	r.seen, r.next = 30, 31
	r.do(lockAs(1, false, shared("s")))
	equal(t, "closed by an entry without numbers", r.m.closed, 30)
	r.seen = 5
	r.lead(2)
	c, _ := r.ev.IdleClosed()
	equal(t, "closed", c, 30)
	floor := r.do(lockAs(2, false, write("k")))[0].GetLock().Floor
	equal(t, "floor", floor, 30)
	r.do(put("x", "1"))
	equal(t, "closed under the lock", r.m.closed, 30)
}

func TestCancelRead(t *testing.T) {
	r := userRig(t)
	r.submit(put("a", "1"))
	r.ev.AdmitRead(100, point("a"), 11, nil)
	equal(t, "cancelled", r.ev.Cancel(100), true)
	r.settle()
	r.waits(100)
}

func TestReadOutsideTheRange(t *testing.T) {
	r := newRig(t, spanOf("b", "m"))
	equal(t, "admitted", r.ev.AdmitRead(100, point("z"), 10, nil), false)
	r.drain()
	if r.reads[100].Err == nil {
		t.Fatal("a read outside of the range was not refused")
	}
}

// registerAll answers every registration of the lease as found.
func (r *rig) registerAll(lease int64) {
	r.t.Helper()
	id := r.submit(leasedPut("zz", "", lease))
	r.unanswered(id)
	equal(r.t, "registrations", len(r.regs), 1)
	reg := r.regs[0]
	r.regs = nil
	r.ev.Registered(reg.Token, 77, true, nil)
	r.drain()
	r.settle()
	r.code(id, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
}

// P20: a read waits for everything in flight below it, also when what came
// after that is dropped.
func TestP20ReadWaitsForAllBatches(t *testing.T) {
	r := userRig(t)
	r.submit(put("a", "1"))
	r.grant()
	r.submit(put("b", "1"))
	equal(t, "admitted", r.ev.AdmitRead(100, point("a"), 12, nil), false)
	r.grant()
	r.ev.Dropped(r.log[1].Batch)
	r.log = r.log[:1]
	r.drain()
	r.waits(100)
	r.apply()
	r.ready(100)
}
