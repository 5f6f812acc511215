package rangeraft

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
)

// P11: an answer that takes no number is proved like a read: without a quorum
// nothing in the log says that it still holds.
func TestAnswerWithoutNumberIsConfirmed_P11(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.DisableLeaderLease = true })
	c.put("x", "1")
	old := c.leader(proto.UserRange)
	op := putOp("x", "")
	op.RangeId = uint64(proto.UserRange)
	op.GetWrite().Request = &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte("x"), Target: pb.Compare_VERSION, Result: pb.Compare_EQUAL,
			TargetUnion: &pb.Compare_Version{Version: 99}}},
	}}}
	if reply := old.store.Do(ctxFor(t, 10*time.Second), op); reply.Error != nil || reply.GetWrite().Response.GetResponseTxn().GetSucceeded() {
		t.Fatal(reply)
	}
	c.isolate(old.id, true)
	if reply := old.store.Do(ctxFor(t, 100*time.Millisecond), op); reply.Error == nil {
		t.Fatalf("a leader without a quorum answered %v", reply)
	}
}
