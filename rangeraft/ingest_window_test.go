package rangeraft

import (
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// P21, P23: between the moment in which a raft snapshot is in the engine and that
// in which the replica shows it, nobody is told that what it took away was never
// there: no read at a replica, and no feed.
func TestSnapshotNotShownYetAnswersNothing_P21(t *testing.T) {
	c := newCluster(t, 3, nil)
	rev := c.put("x", "1")
	follower := c.other(c.leader(3))
	r := follower.store.replica(3)
	c.wait("the write is closed", func() bool {
		follower.store.PushClosed(proto.Revision(rev))
		return r.closed() >= proto.Revision(rev)
	})
	// What an ingest of the range after a split at m does.
	r.mu.Lock() // the replica's next turn is yet to come
	unlock := sync.OnceFunc(r.mu.Unlock)
	defer unlock()
	left, right := splitDescriptors(r.desc.Load(), &pontoonpb.Split{Key: keys.User([]byte("m")), RightRangeId: 10})
	st := r.state
	st.Index += 10
	batch := follower.engine.NewBatch()
	if err := batch.SetDescriptor(left); err != nil {
		t.Fatal(err)
	}
	if err := batch.ClearSpan(proto.SpanOf(right.Span)); err != nil {
		t.Fatal(err)
	}
	if _, err := batch.Apply(3, &st, nil); err != nil {
		t.Fatal(err)
	}
	if err := batch.Commit(false); err != nil {
		t.Fatal(err)
	}
	read := func(key string) *pontoonpb.RangeReply {
		return follower.store.Do(ctxFor(t, 5*time.Second), &pontoonpb.RangeOp{RangeId: 3, Span: keys.Point(keys.User([]byte(key))).Wire(),
			Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{ReadRevision: rev, Serializable: true,
				Request: &pb.RangeRequest{Key: []byte(key), Serializable: true}}}})
	}
	if reply := read("x"); !proto.HasCode(proto.FromWire(reply.Error), pontoonpb.RangeErrorCode_RANGE_MISMATCH) {
		t.Errorf("read of what was taken away: %v", reply)
	}
	if reply := read("a"); reply.Error != nil {
		t.Errorf("read of what is still there: %v", reply)
	}
	unlock() // feeds take their views between turns; none shows what nobody told the replica of
	for _, key := range []string{"x", "a"} {
		f, err := follower.store.OpenFeed(ctxFor(t, 5*time.Second), &pontoonpb.FeedRequest{RangeId: 3,
			Span: keys.Point(keys.User([]byte(key))).Wire(), From: 1})
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.Recv(ctxFor(t, 5*time.Second))
		f.Close()
		refused := proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH) || m.GetEnded().GetCode() == pontoonpb.RangeErrorCode_RANGE_MISMATCH
		if refused != (key == "x") {
			t.Errorf("feed of %s: %v %v", key, m, err)
		}
	}
}
