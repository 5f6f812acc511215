package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

type fake struct {
	nodes map[proto.NodeID]*pontoonpb.DescribeReply
	sent  []*pontoonpb.RangeOp
	err   error

	placed   []*pontoonpb.PlaceRequest
	reply    *pontoonpb.PlaceReply
	drained  map[proto.NodeID]bool
	removed  map[proto.NodeID]bool
	settings []*pontoonpb.Setting

	mu   sync.Mutex
	sums map[proto.NodeID][]*pontoonpb.ChecksumReply

	raised []proto.NodeID // for what CORRUPT was raised
}

func (f *fake) Raise(_ context.Context, member proto.NodeID, kind pb.AlarmType) error {
	if kind != pb.AlarmType_CORRUPT {
		return fmt.Errorf("raised %v", kind)
	}
	f.raised = append(f.raised, member)
	return nil
}

func (f *fake) Nodes() (ns []*pontoonpb.NodeStatus) {
	for _, id := range []uint64{1, 2, 3} {
		ns = append(ns, &pontoonpb.NodeStatus{NodeId: id, Name: fmt.Sprintf("n%d", id), State: "live"})
	}
	ns[1].State = "draining"
	return ns
}

func (f *fake) Describe(_ context.Context, id proto.NodeID) (*pontoonpb.DescribeReply, error) {
	if d, ok := f.nodes[id]; ok {
		return d, nil
	}
	return nil, errors.New("down")
}

func (f *fake) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	f.sent = append(f.sent, op)
	if f.err != nil {
		return nil, f.err
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Split{Split: &pontoonpb.SplitReply{}}}, nil
}

// Call answers a checksum from sums, the first of a node's first.
func (f *fake) Call(_ context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := f.sums[node]
	if len(left) == 0 {
		return nil, errors.New("down")
	}
	if len(left) > 1 {
		f.sums[node] = left[1:]
	}
	if want := op.GetChecksum().GetIndex(); left[0].Index < want {
		return nil, fmt.Errorf("asked to wait for %d, is at %d", want, left[0].Index)
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Checksum{Checksum: left[0]}}, nil
}

func (f *fake) AllocRangeID(context.Context) (proto.RangeID, error) { return 9, nil }

func replica(id, node, leader, term uint64, start string) *pontoonpb.RangeStatus {
	return &pontoonpb.RangeStatus{
		Desc: &pontoonpb.Descriptor{
			RangeId: id, Span: keys.Point(keys.User([]byte(start))).Wire(),
			Replicas: []*pontoonpb.Replica{{NodeId: 1}, {NodeId: 2}},
		},
		NodeId: node, LeaderNode: leader, Term: term,
	}
}

func TestRangeListTakesTheLeadersNewestView(t *testing.T) {
	f := &fake{nodes: map[proto.NodeID]*pontoonpb.DescribeReply{
		1: {Ranges: []*pontoonpb.RangeStatus{replica(4, 1, 1, 5, "b"), replica(3, 1, 2, 7, "a")}},
		2: {Ranges: []*pontoonpb.RangeStatus{replica(4, 2, 2, 6, "b"), replica(3, 2, 2, 7, "a")}},
	}}
	resp, err := (&Server{Cluster: f}).RangeList(t.Context(), nil)
	if err != nil || len(resp.Ranges) != 2 {
		t.Fatal(resp, err)
	}
	if a, b := resp.Ranges[0], resp.Ranges[1]; a.Desc.RangeId != 3 || a.NodeId != 2 || b.Desc.RangeId != 4 || b.NodeId != 2 {
		t.Fatal(resp)
	}
}

func TestRefusals(t *testing.T) {
	f := &fake{nodes: map[proto.NodeID]*pontoonpb.DescribeReply{
		1: {Ranges: []*pontoonpb.RangeStatus{replica(4, 1, 1, 5, "b")}},
	}}
	s := &Server{Cluster: f}
	if _, err := s.RangeShow(t.Context(), &pontoonpb.RangeShowRequest{RangeId: 8}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	if _, err := s.RangeSplit(t.Context(), &pontoonpb.RangeSplitRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
	if _, err := s.RangeSplit(t.Context(), &pontoonpb.RangeSplitRequest{Key: []byte("x"), Lease: true}); status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
	_, err := s.RangeTransferLeader(t.Context(), &pontoonpb.RangeTransferLeaderRequest{RangeId: 4, ToNode: 3})
	if status.Code(err) != codes.FailedPrecondition || len(f.sent) != 0 {
		t.Error(err)
	}
	f.err = proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "key is a boundary already")
	if _, err := s.RangeSplit(t.Context(), &pontoonpb.RangeSplitRequest{Key: []byte("b")}); status.Code(err) != codes.FailedPrecondition {
		t.Error(err)
	}
}
