package txn

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// conflicting grants the anchor's lock and refuses the next; then the client's
// time is over.
type conflicting struct{ expire func() }

func (c conflicting) Cover(context.Context, proto.Span) ([]*pontoonpb.Descriptor, error) {
	return threeRanges(), nil
}

func (c conflicting) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	switch {
	case op.GetAbort() != nil:
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Abort{Abort: &pontoonpb.AbortReply{}}}, nil
	case op.GetLock() == nil:
		return &pontoonpb.RangeReply{}, nil
	case op.GetLock().GetAnchor():
		return locked(Call{Op: op}), nil
	}
	c.expire()
	return nil, failed(pontoonpb.RangeErrorCode_LOCKED)
}

// A client whose time ends in a conflict gets an error, never an empty answer.
func TestTimeEndsInConflict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := New(Options{Sender: conflicting{cancel}, Logger: slog.New(slog.DiscardHandler)})
	defer c.Close()
	resp, _, err := c.Run(ctx, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("f"), PrevKv: true},
	}})
	if !errors.Is(err, context.Canceled) || resp != nil {
		t.Errorf("%v, %v", resp, err)
	}
}
