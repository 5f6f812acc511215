package evaluator

import (
	"errors"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func leaseOp(op *pontoonpb.LeaseOp) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Lease{Lease: op}}
}

func grantLease(id int64) *pontoonpb.RangeOp {
	return leaseOp(&pontoonpb.LeaseOp{Kind: pontoonpb.LeaseOpKind_LEASE_GRANT, Id: id, TtlSeconds: 60, Incarnation: 5})
}

func registerLease(id int64, spans ...proto.Span) *pontoonpb.RangeOp {
	op := &pontoonpb.LeaseOp{Kind: pontoonpb.LeaseOpKind_LEASE_REGISTER, Id: id}
	for _, s := range spans {
		op.Register = append(op.Register, s.Wire())
	}
	return leaseOp(op)
}

func revokeLock(n uint64, lease int64) *pontoonpb.RangeOp {
	key := keys.Lease(proto.LeaseID(lease))
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Lock{Lock: &pontoonpb.LockOp{
		Txn: txnID(n), AnchorKey: key, Anchor: true, RevokeLease: lease, ExpireTerm: 3, ExpireRenewals: 4,
		Locks: []*pontoonpb.LockSpan{lockSpan(pontoonpb.LockMode_LOCK_WRITE, keys.Point(key))},
	}}}
}

func revokeCommit(n uint64, lease int64) *pontoonpb.RangeOp {
	key := keys.Lease(proto.LeaseID(lease))
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Commit{Commit: &pontoonpb.CommitOp{
		Txn: txnID(n), AnchorKey: key,
		Effects: []*pontoonpb.Effect{{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_DELETE, Space: pontoonpb.Space_SPACE_SYS, Key: key}},
	}}}
}

// The lease's home: grant, register, checkpoint.
func TestLeaseRecords(t *testing.T) {
	r := newRig(t, keys.LeaseSpan)
	id := r.submit(grantLease(7), grantLease(7), registerLease(8))
	equal(t, "asks", len(r.asks), 0)
	r.unanswered(id, id+1, id+2)
	r.settle()
	equal(t, "ttl", r.reply(id).GetLease().TtlSeconds, 60)
	equal(t, "exists", r.reply(id+1).GetError().GetMessage(), "etcdserver: lease already exists")
	equal(t, "unknown", r.reply(id+2).GetError().GetMessage(), "etcdserver: requested lease not found")
	reg := r.do(registerLease(7, spanOf("a", "c")))[0].GetLease().Record
	equal(t, "incarnation", reg.Incarnation, 5)
	before := len(r.m.history)
	r.do(registerLease(7, spanOf("b", "c")))
	equal(t, "entries for what is covered", len(r.m.history), before)
	reg = r.do(registerLease(7, spanOf("a", "z")))[0].GetLease().Record
	equal(t, "spans", len(reg.Registered), 1)
	r.do(leaseOp(&pontoonpb.LeaseOp{Kind: pontoonpb.LeaseOpKind_LEASE_CHECKPOINT, Checkpoints: []*pontoonpb.LeaseRecord{
		{Id: 7, RemainingSeconds: 30}, {Id: 9, RemainingSeconds: 1},
	}}))
	rec, err := r.ev.leaseRecord(7)
	equal(t, "error", err, nil)
	equal(t, "remaining", rec.RemainingSeconds, 30)
	equal(t, "registered", len(rec.Registered), 1)
}

// P38: the first put with a lease asks its home; the registration is in the
// entry of the put, and later puts check it locally.
func TestP38Registration(t *testing.T) {
	r := newRig(t, spanOf("b", "m"))
	id := r.submit(leasedPut("c", "1", 7), leasedPut("d", "1", 7), put("e", "1"))
	equal(t, "registrations", len(r.regs), 1)
	equal(t, "span", string(r.regs[0].Span.Start), string(user("b")))
	r.grant() // the third is not held up (P16)
	r.unanswered(id, id+1)
	r.ev.Registered(r.regs[0].Token, 77, true, nil)
	r.drain()
	r.apply()
	r.grant()
	effects := r.log[0].Effects
	equal(t, "effects", len(effects), 3)
	equal(t, "space", effects[0].Space, pontoonpb.Space_SPACE_REG)
	r.settle()
	r.code(id+1, none)
	r.regs = nil
	r.do(leasedPut("f", "1", 7))
	equal(t, "registrations", len(r.regs), 0)
	r.lead(2)
	r.do(leasedPut("g", "1", 7))
	equal(t, "registrations of a new leader", len(r.regs), 0)
}

// P38: a registration that does not exist at the home is the client's answer,
// for the requests that waited only.
func TestP38UnknownLease(t *testing.T) {
	r := userRig(t)
	id := r.submit(leasedPut("c", "1", 7), leasedPut("d", "1", 8))
	r.ev.Registered(r.regs[0].Token, 0, false, nil)
	r.ev.Registered(r.regs[1].Token, 0, false, errors.New("home is away"))
	r.drain()
	equal(t, "unknown", r.reply(id).GetError().GetMessage(), "etcdserver: requested lease not found")
	r.code(id+1, pontoonpb.RangeErrorCode_NOT_PROPOSED)
	r.regs = nil
	r.submit(leasedPut("c", "1", 7))
	equal(t, "asked again", len(r.regs), 1)
}

// P37: a registration is void if the lease was locked here since it was asked
// for; the revoke's commit ends the registration.
func TestP37VoidRegistration(t *testing.T) {
	r := userRig(t)
	id := r.submit(leasedPut("c", "1", 7))
	token := r.regs[0].Token
	r.regs = nil
	r.do(lockAs(1, false, leaseLock(7, keys.UserSpan)))
	r.do(resolve(1, true, 0))
	r.ev.Registered(token, 77, true, nil)
	r.drain()
	r.unanswered(id)
	equal(t, "asked again", len(r.regs), 1)
	r.ev.Registered(r.regs[0].Token, 78, true, nil)
	r.drain()
	r.settle()
	r.code(id, none)

	r.do(lockAs(2, false, leaseLock(7, keys.UserSpan)))
	r.do(resolve(2, true, 30, &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_DELETE, Key: user("c"), PrevLease: 7, Fresh: true}))
	r.next, r.seen = 31, 30
	equal(t, "c", r.get("c"), "")
	r.regs = nil
	r.submit(leasedPut("c", "2", 7))
	equal(t, "registered after the revoke", len(r.regs), 1)
}

// P37: a registration that was granted but not used yet is void too.
func TestP37VoidFreshRegistration(t *testing.T) {
	r := userRig(t)
	r.do(lockAs(1, false, write("c")))
	id := r.submit(leasedPut("d", "1", 7))
	r.ev.opts.MaxBatchRequests = 1
	r.submit(put("x", "1")) // an open ask keeps the put from being evaluated
	r.ev.Registered(r.regs[0].Token, 77, true, nil)
	r.regs = nil
	r.ev.leases.void(7)
	r.drain()
	r.settle()
	r.unanswered(id)
	equal(t, "asked again", len(r.regs), 1)
}

// P37: any change of what is attached to a locked lease waits, and so does
// reading it; a lock on the lease waits for the locks of others on its keys.
func TestP37LeaseLockConflicts(t *testing.T) {
	r := userRig(t)
	r.registerAll(7)
	r.do(leasedPut("b", "1", 7), put("c", "1"))
	r.submit(leasedPut("d", "1", 7)) // attached, in flight
	r.grant()
	r.submit(lockAs(1, false, leaseLock(7, keys.UserSpan)))
	waiting := r.submit(leasedPut("b", "2", 7), put("b", "2"), leasedPut("c", "2", 7), del("d", ""), txn(valueIs("d", "1"), nil, nil))
	free := r.submit(put("c", "3"), put("e", "1"))
	fast := r.submit(lockAs(2, false, shared("d")), lockAs(2, false, leaseLock(7, point("q"))), lockAs(2, false, write("c"), leaseLock(8, point("q"))))
	r.settle()
	for i := range RequestID(5) {
		r.unanswered(waiting + i)
	}
	r.code(free, none)
	r.code(free+1, none)
	r.code(fast, pontoonpb.RangeErrorCode_LOCKED)
	r.code(fast+1, pontoonpb.RangeErrorCode_LOCKED)
	r.code(fast+2, none)
	r.do(resolve(2, false, 0))
	r.do(resolve(1, false, 0))
	for i := range RequestID(5) {
		r.code(waiting+i, none)
	}
	r.do(lockAs(3, false, shared("b")))
	id := r.submit(lockAs(4, false, leaseLock(8, keys.UserSpan)))
	r.settle()
	r.code(id, none) // b is not attached to 8
	r.do(leasedPut("f", "1", 7), lockAs(3, false, shared("f")))
	id = r.submit(lockAs(5, false, leaseLock(7, keys.UserSpan)))
	r.code(id, pontoonpb.RangeErrorCode_LOCKED)
}

// P37: a put that names a lease which is being revoked waits, even if it would
// attach nothing: whether the lease exists is decided, but not known here.
func TestP37PutNamesALeaseBeingRevoked(t *testing.T) {
	r := userRig(t)
	r.registerAll(7)
	r.do(lockAs(1, false, leaseLock(7, keys.UserSpan)))
	absent := putReq("q", "", 7)
	absent.GetRequestPut().IgnoreValue = true
	id := r.submit(writeOp(absent))
	r.settle()
	r.unanswered(id)
	r.do(resolve(1, true, 0))
	equal(t, "asked again", len(r.regs), 1)
	r.ev.Registered(r.regs[0].Token, 0, false, nil)
	r.drain()
	equal(t, "error", r.reply(id).GetError().GetMessage(), "etcdserver: requested lease not found")
}

// P37: a txn whose effects are still to come may attach a key: a lock on the
// lease waits for its write locks, whatever the keys belong to now.
func TestP37LeaseLockWaitsForWrites(t *testing.T) {
	r := userRig(t)
	r.registerAll(7)
	r.do(put("c", "1"), lockAs(1, false, write("c")))
	id := r.submit(lockAs(2, false, leaseLock(7, keys.UserSpan)))
	r.settle()
	r.code(id, pontoonpb.RangeErrorCode_LOCKED)
	r.do(resolve(1, false, 0))
	id = r.submit(lockAs(3, false, leaseLock(7, keys.UserSpan)))
	r.settle()
	r.code(id, none)
}

// P38: a split copies the registrations to both sides, clipped.
func TestP38SplitCopiesRegistrations(t *testing.T) {
	r := userRig(t)
	r.registerAll(7)
	r.do(split("m"))
	right, _ := r.m.Local(pontoonpb.Space_SPACE_REG, user("m"), leaseSuffix(7))
	reg := &pontoonpb.LeaseRegistration{}
	if err := reg.UnmarshalVT(right); err != nil || len(right) == 0 {
		t.Fatalf("no registration on the right side: %v", err)
	}
	equal(t, "right start", string(reg.Span.Start), string(user("m")))
	equal(t, "incarnation", reg.Incarnation, 77)
	r.do(leasedPut("b", "1", 7))
	equal(t, "left is registered", len(r.regs), 0)
	r.m.desc = &pontoonpb.Descriptor{Generation: 2, Span: (proto.Span{Start: user("m"), End: keys.Max}).Wire()}
	r.lead(2)
	r.do(leasedPut("p", "1", 7))
	equal(t, "right is registered", len(r.regs), 0)
}

// P39: a revoke is decided with the lessor at the anchor, and its outcome told.
func TestP39Revoke(t *testing.T) {
	r := newRig(t, keys.LeaseSpan)
	r.do(grantLease(7), registerLease(7, spanOf("a", "z")))
	r.lessor.refuse = errors.New("renewed")
	id := r.submit(revokeLock(1, 7), revokeLock(1, 8))
	r.settle()
	r.code(id, pontoonpb.RangeErrorCode_LEASE_CHANGED)
	equal(t, "unknown", r.reply(id+1).GetError().GetMessage(), "etcdserver: requested lease not found")
	equal(t, "locks", len(r.m.locks()), 0)

	r.lessor.refuse = nil
	lease := r.do(revokeLock(2, 7))[0].GetLock().Lease
	equal(t, "registered", len(lease.Registered), 1)
	equal(t, "begun", r.lessor.begun[0], "7@3/4")
	waiting := r.submit(registerLease(7, spanOf("0", "1"))) // blocked by the revoke (P37)
	r.unanswered(waiting)
	r.do(revokeCommit(2, 7))
	equal(t, "ended", r.lessor.ended[0], "7 true")
	equal(t, "registration after", r.reply(waiting).GetError().GetMessage(), "etcdserver: requested lease not found")

	r.do(grantLease(7), revokeLock(3, 7))
	op := abort(3)
	op.GetAbort().AnchorKey = keys.Lease(7)
	r.do(op)
	equal(t, "ended", r.lessor.ended[1], "7 false")
	r.submit(revokeLock(4, 7))
	r.ev.Dropped(r.log[0].Batch)
	equal(t, "ended", r.lessor.ended[2], "7 false")
}

// P37: what is in flight decides what is attached to a lease.
func TestP37DetachedInFlight(t *testing.T) {
	r := userRig(t)
	r.registerAll(7)
	r.do(leasedPut("b", "1", 7))
	r.submit(put("b", "2")) // detaches
	r.grant()
	id := r.submit(lockAs(1, false, shared("b")), lockAs(2, false, leaseLock(7, spanOf("a", "c"))))
	r.settle()
	r.code(id+1, none)
}

// P38: a record that does not cover the key is no registration.
func TestP38RecordMustCoverTheKey(t *testing.T) {
	r := userRig(t)
	r.m.effect(regPut(keys.UserSpan.Start, &pontoonpb.LeaseRegistration{Lease: 7, Span: spanOf("", "m").Wire()}))
	covered := r.submit(leasedPut("b", "1", 7))
	r.settle()
	r.code(covered, none)
	r.submit(leasedPut("x", "1", 7))
	equal(t, "registrations", len(r.regs), 1)
}
