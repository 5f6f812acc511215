package rangeraft

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// P21: no kind of read over a span that was split answers for its part; the
// refusal names the ranges that cover it.
func TestReadsOutsideAreRefused_P21(t *testing.T) {
	c := newCluster(t, 1, nil)
	rev := c.put("z", "1")
	if _, err := c.do(ctxFor(t, 10*time.Second), splitOp(c, "m", 10)); err != nil {
		t.Fatal(err)
	}
	s := c.nodes[1].store
	all := &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("zz")}
	for name, op := range map[string]*pontoonpb.RangeOp{
		"read":         {Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{ReadRevision: rev, Request: all}}},
		"serializable": {Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{ReadRevision: rev, Request: all, Serializable: true}}},
		"history":      {Op: &pontoonpb.RangeOp_History{History: &pontoonpb.HistoryOp{From: 2, To: rev, MaxBytes: 1 << 20}}},
		"hash":         {Op: &pontoonpb.RangeOp_Hash{Hash: &pontoonpb.HashOp{Revision: rev}}},
		"lease keys":   {Op: &pontoonpb.RangeOp_LeaseKeys{LeaseKeys: &pontoonpb.LeaseKeysOp{Lease: 1}}},
	} {
		op.RangeId, op.Span = 3, keys.UserSpan.Wire()
		reply := s.Do(ctxFor(t, time.Second), op)
		if reply.Error.GetCode() != pontoonpb.RangeErrorCode_RANGE_MISMATCH || len(reply.Error.Descriptors) != 2 {
			t.Errorf("%s: %v", name, reply)
		}
	}
}
