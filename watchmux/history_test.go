package watchmux

import (
	"context"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// fakeSender answers like a range of which one replica is closed at 10 and the
// leader at 20, compacted at 5.
type fakeSender struct {
	t     *testing.T
	reads []bool // serializable
}

// Send implements Sender.
func (f *fakeSender) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	if h := op.GetHistory(); h != nil {
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_History{
			History: &pontoonpb.HistoryReply{Covered: h.To}}}, nil
	}
	r := op.GetRead()
	if !proto.SpanOf(op.Span).Contains(keys.User(r.Request.Key)) || r.AnyFloor {
		f.t.Errorf("read %v", op)
	}
	f.reads = append(f.reads, r.Serializable)
	switch {
	case r.Request.Revision < 5:
		return &pontoonpb.RangeReply{Error: proto.BelowFloor(5).RangeError}, nil
	case r.Serializable && r.Request.Revision > 10:
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_STALE_CLOSED, "closed at 10")
	case r.Request.Revision > 20:
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "no quorum")
	case string(r.Request.Key) == "absent":
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Read{Read: &pontoonpb.ReadReply{}}}, nil
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Read{Read: &pontoonpb.ReadReply{
		Kvs: []*mvccpb.KeyValue{{Key: r.Request.Key, ModRevision: r.Request.Revision}}}}}, nil
}

// P25: absent below the floor, from the leader if a replica lags, an error only
// if it is not known.
func TestPreviousValues_P25(t *testing.T) {
	f := &fakeSender{t: t}
	h := RangeHistory{Sender: f}
	for _, c := range []struct {
		key   string
		rev   proto.Revision
		found bool
		fails bool
		reads int
	}{
		{"k", 0, false, false, 0},
		{"k", 4, false, false, 1},
		{"k", 5, true, false, 1},
		{"absent", 9, false, false, 1},
		{"k", 11, true, false, 2},
		{"k", 21, false, true, 2},
	} {
		f.reads = nil
		kv, err := h.Previous(t.Context(), []byte(c.key), c.rev)
		if (kv != nil) != c.found || (err != nil) != c.fails || len(f.reads) != c.reads {
			t.Errorf("%s at %d: %v, %v after %d reads", c.key, c.rev, kv, err, len(f.reads))
		}
	}
	reply, err := h.History(t.Context(), keys.UserSpan, 2, 9, 100)
	if err != nil || reply.Covered != 9 {
		t.Errorf("history: %v %v", reply, err)
	}
}
