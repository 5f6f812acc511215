package watchmux

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Sender sends an operation to the range that holds the start of its span; the
// router's sender.
type Sender interface {
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// RangeHistory implements History by operations on ranges.
type RangeHistory struct {
	Sender Sender
}

// History implements History.
func (h RangeHistory) History(ctx context.Context, span proto.Span, from, to proto.Revision, maxBytes int64) (*pontoonpb.HistoryReply, error) {
	reply, err := h.send(ctx, &pontoonpb.RangeOp{Span: span.Wire(), Op: &pontoonpb.RangeOp_History{
		History: &pontoonpb.HistoryOp{From: int64(from), To: int64(to), MaxBytes: maxBytes}}})
	if err != nil {
		return nil, err
	}
	if reply.GetHistory() == nil {
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "history: empty reply")
	}
	return reply.GetHistory(), nil
}

// Previous implements History. The change that follows rev was delivered, so
// any replica closed at rev knows it.
func (h RangeHistory) Previous(ctx context.Context, key []byte, rev proto.Revision) (*mvccpb.KeyValue, error) {
	if rev < proto.FirstRevision {
		return nil, nil
	}
	reply, err := h.read(ctx, key, rev, true)
	if proto.HasCode(err, pontoonpb.RangeErrorCode_STALE_CLOSED) {
		reply, err = h.read(ctx, key, rev, false) // that replica lags, the leader does not
	}
	if proto.HasCode(err, pontoonpb.RangeErrorCode_BELOW_FLOOR) {
		return nil, nil // P25
	}
	if err != nil {
		return nil, err
	}
	if kvs := reply.GetRead().GetKvs(); len(kvs) > 0 {
		return kvs[0], nil
	}
	return nil, nil
}

func (h RangeHistory) read(ctx context.Context, key []byte, rev proto.Revision, serializable bool) (*pontoonpb.RangeReply, error) {
	return h.send(ctx, &pontoonpb.RangeOp{
		Span: keys.Point(keys.User(key)).Wire(),
		Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{
			Request:      &etcdserverpb.RangeRequest{Key: key, Revision: int64(rev), Serializable: serializable},
			ReadRevision: int64(rev), Serializable: serializable,
		}}})
}

func (h RangeHistory) send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	reply, err := h.Sender.Send(ctx, op)
	if err != nil {
		return nil, err
	}
	return reply, proto.FromWire(reply.Error)
}
