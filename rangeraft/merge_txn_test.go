package rangeraft

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// P46, P31, P35: a txn over both ranges that is in flight is done before they
// merge, one that comes meanwhile after it; their records are found by key.
func TestMergeWithTxnInFlight_P46(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.TickInterval = 100 * time.Millisecond }) // nobody counts as blocked
	c.put("a", "old-a")
	c.put("x", "old-x")
	c.split("m", 10)
	put := func(txn *pontoonpb.TxnID, key string, sub int64) *pontoonpb.Effect {
		return &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: keys.User([]byte(key)), Sub: sub,
			CreateRevision: 2, Version: 2, Value: fmt.Appendf(nil, "txn-%d-%s", txn.Counter, key)}
	}
	commit := func(txn *pontoonpb.TxnID) int64 {
		reply := c.mustDo(&pontoonpb.RangeOp{Span: userPoint("a").Wire(), Op: &pontoonpb.RangeOp_Commit{Commit: &pontoonpb.CommitOp{
			Txn: txn, AnchorKey: keys.User([]byte("a")), NeedsRevision: true,
			Effects:      []*pontoonpb.Effect{put(txn, "a", 0), put(txn, "x", 1)},
			Participants: []*pontoonpb.Span{userPoint("a").Wire(), userPoint("x").Wire()}}}})
		rev := reply.GetCommit().Revision
		c.mustDo(&pontoonpb.RangeOp{Span: userPoint("x").Wire(), Op: &pontoonpb.RangeOp_Resolve{Resolve: &pontoonpb.ResolveOp{
			Txn: txn, Commit: true, Revision: rev, Effects: []*pontoonpb.Effect{put(txn, "x", 1)}}}})
		return rev
	}
	first := &pontoonpb.TxnID{Node: 9, Boot: 1, Counter: 1}
	c.mustDo(lockOp(first, "a", "a", "a", "x"))
	c.mustDo(lockOp(first, "a", "x"))
	merged := make(chan struct{})
	go func() {
		defer close(merged)
		c.merge("a", 10)
	}()
	rev := commit(first)
	second := &pontoonpb.TxnID{Node: 9, Boot: 1, Counter: 2}
	for _, op := range []*pontoonpb.RangeOp{lockOp(second, "a", "a", "a", "x"), lockOp(second, "a", "x")} {
		op.GetLock().Wait = true
		c.mustDo(op)
	}
	later := commit(second)
	<-merged
	for _, key := range []string{"x", "a"} {
		kv := c.get(key)
		if kv == nil || string(kv.Value) != "txn-2-"+key || kv.ModRevision != later || later <= rev {
			t.Fatalf("%s is %v, want the second txn's at %d", key, kv, later)
		}
	}
	c.mustBeGone(10)
	c.mustAgree(3)
}

// P38, P39: the lessor of a merged lease range has the leases of both sides;
// those that were there keep their time.
func TestMergeOfLeaseRanges_P39(t *testing.T) {
	var log lessorLog
	c := newCluster(t, 1, func(o *Options) { o.Lessor = &log })
	nd := c.nodes[1]
	nd.stop()
	c.desc[0].Span, nd.fs = keys.LeaseSpan.Wire(), storage.NewCrashableMemFS()
	nd.start(true)
	for _, id := range []proto.LeaseID{3, 9} {
		c.mustDo(grantOp(id))
	}
	op := func(o *pontoonpb.RangeOp) *pontoonpb.RangeOp {
		o.Span = keys.Point(keys.LeaseSpan.Start).Wire()
		return o
	}
	c.mustDo(&pontoonpb.RangeOp{Span: keys.LeaseSpan.Wire(), Op: &pontoonpb.RangeOp_Split{
		Split: &pontoonpb.SplitOp{Key: keys.Lease(5), RightRangeId: 10}}})
	c.leader(10)
	c.wait("the right side's lessor", func() bool { return slices.Contains(log.all(), "gained 10 1") })
	log.take()
	c.wait("merged", func() bool {
		_, err := c.do(ctxFor(t, 5*time.Second), op(&pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Merge{Merge: &pontoonpb.MergeOp{RightRangeId: 10}}}))
		return err == nil
	})
	c.wait("the merged range's lessor", func() bool { return slices.Contains(log.all(), "gained 3 2") })
	if calls := log.all(); !slices.Equal(calls, []string{"lost 10", "gained 3 2"}) {
		t.Fatalf("the lessor was told %v", calls)
	}
	c.mustDo(grantOp(11))
}

// all returns the calls so far.
func (l *lessorLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}
