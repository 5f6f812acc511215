package txn

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
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

// splitting answers each Cover from the next of its answers, then the last.
type splitting struct {
	Sender
	answers [][]*pontoonpb.Descriptor
}

func (s *splitting) Cover(context.Context, proto.Span) ([]*pontoonpb.Descriptor, error) {
	first := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return first, nil
}

// TestCoverStartsOver: P21: a split between two spans must neither leave keys
// without a lock nor lock them in two ranges.
func TestCoverStartsOver(t *testing.T) {
	ranges := threeRanges()
	left, right := ranges[1], ranges[2]
	parent := &pontoonpb.Descriptor{RangeId: left.RangeId, Span: &pontoonpb.Span{Start: left.Span.Start, End: right.Span.End}}
	left.Generation, right.Generation = 2, 2
	c := &Coordinator{sender: &splitting{answers: [][]*pontoonpb.Descriptor{{left}, {parent}, {left}, {right}}}}
	a, b := keys.Point(left.Span.Start), keys.Point(right.Span.Start)
	got, err := c.cover(t.Context(), []proto.Span{a, b})
	if err != nil || !slices.Equal(got, []*pontoonpb.Descriptor{left, right}) {
		t.Errorf("cover %v, %v", got, err)
	}
}
