package evaluator

import (
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// rig drives one evaluator by hand over a machine: nothing is granted, applied
// or registered unless the test says so.
type rig struct {
	t   testing.TB
	m   *machine
	ev  *Evaluator
	ids RequestID
	now time.Duration

	seen, next proto.Revision // what the node saw; the sequencer's next number
	floorSeen  proto.Revision
	authSeen   uint64
	lessor     *fakeLessor

	asks    []Ask
	log     []*pontoonpb.Command // proposed, not applied
	answers map[RequestID]Answer
	reads   map[RequestID]ReadReady
	regs    []NeedRegistration
	blocked []TxnBlocked
}

func (r *rig) Seen() proto.Revision { return r.seen }
func (r *rig) AuthEpoch() uint64    { return r.authSeen }

func (r *rig) Floor() proto.Revision { return r.floorSeen }

type fakeLessor struct {
	refuse error
	begun  []string
	ended  []string
}

func (l *fakeLessor) BeginRevoke(lease proto.LeaseID, term, renewals uint64) error {
	if l.refuse == nil {
		l.begun = append(l.begun, fmt.Sprintf("%d@%d/%d", lease, term, renewals))
	}
	return l.refuse
}

func (l *fakeLessor) EndRevoke(lease proto.LeaseID, revoked bool) {
	l.ended = append(l.ended, fmt.Sprintf("%d %v", lease, revoked))
}

func newRig(t testing.TB, span proto.Span) *rig {
	r := &rig{
		t: t, seen: 10, next: 11, floorSeen: proto.NeverCompacted, lessor: &fakeLessor{},
		answers: map[RequestID]Answer{}, reads: map[RequestID]ReadReady{},
	}
	r.m = newMachine(&pontoonpb.Descriptor{RangeId: 3, Generation: 1, Span: span.Wire()})
	r.m.closed = 10
	r.lead(1)
	return r
}

// userRig is a rig of a range that holds the whole user span.
func userRig(t testing.TB) *rig { return newRig(t, keys.UserSpan) }

// lead starts a leadership over the applied state.
func (r *rig) lead(term proto.Term) {
	ev, err := New(Options{
		Term: term, Descriptor: r.m.desc, Closed: r.m.closed, State: r.m, Numbers: r, Lessor: r.lessor, Now: r.now,
		SpanDeleteKeys: 5, BlockedAfter: time.Second, Recent: NewBudget(1 << 20),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.ev, r.asks, r.regs = ev, nil, nil
}

func (r *rig) drain() {
	for {
		actions := r.ev.Drain()
		if len(actions) == 0 {
			break
		}
		for _, a := range actions {
			r.take(a)
		}
	}
	for _, b := range r.m.broken {
		r.t.Error(b)
	}
}

func (r *rig) take(a Action) {
	switch a := a.(type) {
	case Ask:
		r.asks = append(r.asks, a)
		if len(r.asks) > 1 {
			r.t.Error("two asks are open")
		}
	case Propose:
		r.log = append(r.log, a.Command)
	case Answer:
		if _, twice := r.answers[a.ID]; twice {
			r.t.Errorf("request %d answered twice", a.ID)
		}
		r.answers[a.ID] = a
	case ReadReady:
		r.reads[a.ID] = a
	case NeedRegistration:
		r.regs = append(r.regs, a)
	case TxnBlocked:
		r.blocked = append(r.blocked, a)
	}
}

// submit hands in requests, which share a Drain, and returns the first's id.
func (r *rig) submit(ops ...*pontoonpb.RangeOp) RequestID {
	first := r.ids + 1
	for _, op := range ops {
		r.ids++
		r.ev.Submit(r.ids, op)
	}
	r.drain()
	return first
}

// grant answers the open ask.
func (r *rig) grant() {
	r.t.Helper()
	if len(r.asks) != 1 {
		r.t.Fatalf("%d asks are open", len(r.asks))
	}
	g := Grant{Read: r.next - 1}
	if n := r.asks[0].Count; n > 0 {
		g.First = r.next
		r.next += proto.Revision(n)
	}
	r.seen = r.next - 1
	r.granted(g, nil)
}

func (r *rig) granted(g Grant, err error) {
	token := r.asks[0].Token
	r.asks = nil
	r.ev.Granted(token, g, err)
	r.drain()
}

// apply applies the oldest proposed entry, in the evaluator's term.
func (r *rig) apply() {
	r.t.Helper()
	if len(r.log) == 0 {
		r.t.Fatal("nothing is proposed")
	}
	cmd := r.log[0]
	r.log = r.log[1:]
	before := r.m.desc
	if !r.m.apply(cmd.Term, cmd) {
		r.ev.Dropped(cmd.Batch)
	} else if r.ev.SetMerge(r.m.merge); r.m.desc != before {
		r.ev.Applied(cmd.Batch, r.m.desc)
	} else {
		r.ev.Applied(cmd.Batch, nil)
	}
	r.drain()
}

// settle grants and applies until nothing is left to do.
func (r *rig) settle() {
	for len(r.asks) > 0 || len(r.log) > 0 {
		if len(r.asks) > 0 {
			r.grant()
		} else {
			r.apply()
		}
	}
}

// do submits and settles, and returns the answers.
func (r *rig) do(ops ...*pontoonpb.RangeOp) []*pontoonpb.RangeReply {
	r.t.Helper()
	first := r.submit(ops...)
	r.settle()
	out := make([]*pontoonpb.RangeReply, len(ops))
	for i := range ops {
		out[i] = r.reply(first + RequestID(i))
	}
	return out
}

func (r *rig) reply(id RequestID) *pontoonpb.RangeReply {
	r.t.Helper()
	a, ok := r.answers[id]
	if !ok {
		r.t.Fatalf("request %d is not answered", id)
	}
	return a.Reply
}

func (r *rig) unanswered(ids ...RequestID) {
	r.t.Helper()
	for _, id := range ids {
		if a, ok := r.answers[id]; ok {
			r.t.Fatalf("request %d is answered early: %v", id, a.Reply)
		}
	}
}

func (r *rig) code(id RequestID, want pontoonpb.RangeErrorCode) {
	r.t.Helper()
	if got := r.reply(id).GetError().GetCode(); got != want {
		r.t.Fatalf("request %d: %v, want %v", id, r.reply(id), want)
	}
}

// revision is the header that a write was answered with.
func (r *rig) revision(id RequestID) int64 {
	r.t.Helper()
	r.code(id, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	return r.reply(id).GetWrite().Revision
}

func (r *rig) get(key string) string {
	kv, _ := r.m.Get(keys.User([]byte(key)))
	if kv == nil {
		return ""
	}
	return string(kv.Value)
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

// Operations.

func writeOp(op *pb.RequestOp) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{Request: op}}}
}

func putReq(key, value string, lease int64) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
		Key: []byte(key), Value: []byte(value), Lease: lease,
	}}}
}

func rangeReq(key string, rev int64) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key), Revision: rev}}}
}

func delReq(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{
		Key: []byte(key), RangeEnd: []byte(end),
	}}}
}

func put(key, value string) *pontoonpb.RangeOp { return writeOp(putReq(key, value, 0)) }

func leasedPut(key, value string, lease int64) *pontoonpb.RangeOp {
	return writeOp(putReq(key, value, lease))
}

func del(key, end string) *pontoonpb.RangeOp { return writeOp(delReq(key, end)) }

func modIs(key string, rev int64) *pb.Compare {
	return &pb.Compare{
		Key: []byte(key), Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_ModRevision{ModRevision: rev},
	}
}

func valueIs(key, value string) *pb.Compare {
	return &pb.Compare{
		Key: []byte(key), Target: pb.Compare_VALUE, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_Value{Value: []byte(value)},
	}
}

func txn(cmp *pb.Compare, success, failure []*pb.RequestOp) *pontoonpb.RangeOp {
	t := &pb.TxnRequest{Success: success, Failure: failure}
	if cmp != nil {
		t.Compare = []*pb.Compare{cmp}
	}
	return writeOp(&pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: t}})
}

func txnID(n uint64) *pontoonpb.TxnID { return &pontoonpb.TxnID{Node: n, Boot: 7, Counter: n} }

func user(key string) []byte { return keys.User([]byte(key)) }

func point(key string) proto.Span { return keys.Point(user(key)) }

func spanOf(start, end string) proto.Span { return proto.Span{Start: user(start), End: user(end)} }

func lockSpan(mode pontoonpb.LockMode, span proto.Span) *pontoonpb.LockSpan {
	return &pontoonpb.LockSpan{Mode: mode, Span: span.Wire()}
}

func write(key string) *pontoonpb.LockSpan {
	return lockSpan(pontoonpb.LockMode_LOCK_WRITE, point(key))
}

func shared(key string) *pontoonpb.LockSpan {
	return lockSpan(pontoonpb.LockMode_LOCK_SHARED, point(key))
}

func leaseLock(lease int64, span proto.Span) *pontoonpb.LockSpan {
	return &pontoonpb.LockSpan{Mode: pontoonpb.LockMode_LOCK_LEASE, Span: span.Wire(), Lease: lease}
}

// lockAs locks with the anchor at key "a".
func lockAs(n uint64, wait bool, locks ...*pontoonpb.LockSpan) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Lock{Lock: &pontoonpb.LockOp{
		Txn: txnID(n), AnchorKey: user("a"), Locks: locks, Wait: wait,
	}}}
}

func anchorLock(n uint64, locks ...*pontoonpb.LockSpan) *pontoonpb.RangeOp {
	op := lockAs(n, true, locks...)
	op.GetLock().Anchor = true
	return op
}

func commit(n uint64, effects ...*pontoonpb.Effect) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Commit{Commit: &pontoonpb.CommitOp{
		Txn: txnID(n), AnchorKey: user("a"), NeedsRevision: len(effects) > 0, Effects: effects,
	}}}
}

func abort(n uint64) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Abort{Abort: &pontoonpb.AbortOp{Txn: txnID(n), AnchorKey: user("a")}}}
}

func forget(n uint64) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Forget{Forget: &pontoonpb.ForgetOp{Txn: txnID(n), AnchorKey: user("a")}}}
}

func resolve(n uint64, commit bool, rev int64, effects ...*pontoonpb.Effect) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Span: keys.UserSpan.Wire(), Op: &pontoonpb.RangeOp_Resolve{Resolve: &pontoonpb.ResolveOp{
		Txn: txnID(n), Commit: commit, Revision: rev, Effects: effects,
	}}}
}

func putEffect(key, value string) *pontoonpb.Effect {
	return &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: user(key), Value: []byte(value),
		Rev: 1 << 62, CreateRevision: 1 << 62, Version: 1, Fresh: true,
	}
}

func sysWrite(key []byte, value string, conditions ...*pontoonpb.SysRecord) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_SysWrite{SysWrite: &pontoonpb.SysWriteOp{
		Puts: []*pontoonpb.SysRecord{{Key: key, Value: []byte(value)}}, Conditions: conditions,
	}}}
}

func split(key string) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Split{Split: &pontoonpb.SplitOp{Key: user(key), RightRangeId: 9}}}
}
