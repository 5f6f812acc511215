package rangeraft

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func userPoint(key string) proto.Span { return keys.Point(keys.User([]byte(key))) }

func lockOp(txn *pontoonpb.TxnID, anchor, key string, participants ...string) *pontoonpb.RangeOp {
	l := &pontoonpb.LockOp{Txn: txn, AnchorKey: keys.User([]byte(anchor)), Anchor: anchor == key,
		Locks: []*pontoonpb.LockSpan{{Span: userPoint(key).Wire(), Mode: pontoonpb.LockMode_LOCK_WRITE}},
		Reads: []*pb.RangeRequest{{Key: []byte(key)}}}
	for _, p := range participants {
		l.Participants = append(l.Participants, userPoint(p).Wire())
	}
	return &pontoonpb.RangeOp{Span: userPoint(key).Wire(), Op: &pontoonpb.RangeOp_Lock{Lock: l}}
}

// twoRanges is a cluster split at "m".
func twoRanges(t *testing.T) *cluster {
	c := newCluster(t, 3, nil)
	c.put("a", "old-a")
	c.put("x", "old-x")
	if _, err := c.do(ctxFor(t, 20*time.Second), splitOp(c, "m", 10)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) mustDo(op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	c.t.Helper()
	reply, err := c.do(ctxFor(c.t, 20*time.Second), op)
	if err != nil {
		c.t.Fatal(err)
	}
	return reply
}

// P32, P29: locks of a coordinator that is gone before it committed are
// removed by the leaders that are blocked by them; nothing of the txn shows.
func TestAbandonedTxnIsAborted_P32(t *testing.T) {
	c := twoRanges(t)
	txn := &pontoonpb.TxnID{Node: 9, Boot: 1, Counter: 1}
	reply := c.mustDo(lockOp(txn, "a", "a", "a", "x"))
	if kvs := reply.GetLock().Reads[0].Kvs; len(kvs) != 1 || string(kvs[0].Value) != "old-a" {
		t.Fatalf("read under lock: %v", kvs)
	}
	c.mustDo(lockOp(txn, "a", "x"))
	c.put("a", "new-a") // waits until the locks are resolved
	c.put("x", "new-x")
	c.mustHave("a", "new-a")
	c.mustHave("x", "new-x")
	commit := &pontoonpb.RangeOp{Span: userPoint("a").Wire(), Op: &pontoonpb.RangeOp_Commit{Commit: &pontoonpb.CommitOp{
		Txn: txn, AnchorKey: keys.User([]byte("a"))}}}
	_, err := c.do(ctxFor(t, 10*time.Second), commit)
	if !proto.HasCode(err, pontoonpb.RangeErrorCode_TXN_NOT_PENDING) {
		t.Fatalf("commit over an aborted record: %v", err)
	}
}

// P32, P31: a txn whose coordinator is gone after the commit is carried out on
// every range.
func TestCommittedTxnIsFinished_P32(t *testing.T) {
	c := twoRanges(t)
	txn := &pontoonpb.TxnID{Node: 9, Boot: 1, Counter: 2}
	c.mustDo(lockOp(txn, "a", "a", "a", "x"))
	c.mustDo(lockOp(txn, "a", "x"))
	put := func(key string, sub int64) *pontoonpb.Effect {
		return &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: keys.User([]byte(key)), Sub: sub,
			CreateRevision: 2, Version: 2, Value: []byte("txn-" + key)}
	}
	reply := c.mustDo(&pontoonpb.RangeOp{Span: userPoint("a").Wire(), Op: &pontoonpb.RangeOp_Commit{Commit: &pontoonpb.CommitOp{
		Txn: txn, AnchorKey: keys.User([]byte("a")), NeedsRevision: true,
		Effects:      []*pontoonpb.Effect{put("a", 0), put("x", 1)},
		Participants: []*pontoonpb.Span{userPoint("a").Wire(), userPoint("x").Wire()}}}})
	rev := reply.GetCommit().Revision
	for _, key := range []string{"x", "a"} {
		kv := c.get(key) // waits for the lock's resolution (P20)
		if kv == nil || string(kv.Value) != "txn-"+key || kv.ModRevision != rev {
			t.Fatalf("%s is %v, want the txn's at %d", key, kv, rev)
		}
	}
}

// P35: what was one range when it was locked is resolved on both sides of a
// later split.
func TestClipToRange_P35(t *testing.T) {
	left := &pontoonpb.Descriptor{RangeId: 1, Span: &pontoonpb.Span{Start: []byte("a"), End: []byte("m")}}
	right := &pontoonpb.Descriptor{RangeId: 2, Span: &pontoonpb.Span{Start: []byte("m"), End: []byte("z")}}
	err := proto.Mismatch(left, right)
	part, ok := clipToRange(proto.Span{Start: []byte("c"), End: []byte("x")}, err)
	if !ok || string(part.End) != "m" {
		t.Fatal(part, ok)
	}
	part, ok = clipToRange(proto.Span{Start: []byte("m"), End: []byte("zz")}, err)
	if !ok || string(part.Start) != "m" || string(part.End) != "z" {
		t.Fatal(part, ok)
	}
	if _, ok := clipToRange(proto.Span{Start: []byte("m"), End: []byte("x")}, err); ok {
		t.Fatal("nothing to clip")
	}
}

// P21: what is read under a lock that was just taken is read from the range that has the span:
// a split may be applied between the two.
func TestReadUnderLocksNeedsTheSpan_P21(t *testing.T) {
	c := twoRanges(t)
	op := lockOp(&pontoonpb.TxnID{Node: 9, Boot: 1, Counter: 4}, "a", "x")
	left := c.leader(3).store.replica(3)
	c.wait("the split is applied", func() bool { return !proto.SpanOf(left.desc.Load().Span).Covers(proto.SpanOf(op.Span)) })
	out := &pontoonpb.LockReply{}
	if err := left.readUnderLocks(op, op.GetLock(), out); !proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH) {
		t.Fatalf("read %v: %v", out, err)
	}
}
