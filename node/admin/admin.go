// Package admin serves the pontoon command line: ranges, nodes and placement as
// operators see and steer them.
//
//	pontoon range list --gRPC--> Server --Describe--> every node (merged)
//	pontoon range split ------->        --Split-----> leader of the range
//	pontoon range move -------->        --Place-----> placement driver
//	pontoon node drain -------->        --records---> root range
//
// Invariants:
//
//	I1  It answers with whatever part of the cluster can be reached; a node that
//	    is down is missing from the answer, not an error.
//	I2  What can never be done is refused with a reason (FailedPrecondition) and
//	    changes nothing; settings are changed all or none.
package admin

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// describeTimeout bounds the wait for one node's description.
const describeTimeout = 2 * time.Second

// Server is the Admin service.
type Server struct {
	pontoonpb.UnimplementedAdminServer
	Cluster Cluster
}

// RangeList returns every range once, as its leader sees it.
func (s *Server) RangeList(ctx context.Context, _ *pontoonpb.RangeListRequest) (*pontoonpb.RangeListResponse, error) {
	best := map[uint64]*pontoonpb.RangeStatus{}
	for _, d := range s.describeAll(ctx) {
		for _, r := range d.Ranges {
			if better(r, best[r.Desc.RangeId]) {
				best[r.Desc.RangeId] = r
			}
		}
	}
	resp := &pontoonpb.RangeListResponse{}
	for _, r := range best {
		resp.Ranges = append(resp.Ranges, r)
	}
	slices.SortFunc(resp.Ranges, func(a, b *pontoonpb.RangeStatus) int {
		return bytes.Compare(a.Desc.Span.Start, b.Desc.Span.Start)
	})
	return resp, nil
}

// better prefers the newer term, within it the leader's own view.
func better(r, than *pontoonpb.RangeStatus) bool {
	if than == nil || r.Term != than.Term {
		return than == nil || r.Term > than.Term
	}
	return r.NodeId == r.LeaderNode && than.NodeId != than.LeaderNode
}

// RangeShow returns every replica of a range that answers.
func (s *Server) RangeShow(ctx context.Context, req *pontoonpb.RangeShowRequest) (*pontoonpb.RangeShowResponse, error) {
	resp := &pontoonpb.RangeShowResponse{}
	for _, d := range s.describeAll(ctx) {
		for _, r := range d.Ranges {
			if r.Desc.RangeId == req.RangeId {
				resp.Replicas = append(resp.Replicas, r)
			}
		}
	}
	if len(resp.Replicas) == 0 {
		return nil, status.Errorf(codes.NotFound, "no replica of range %d answers", req.RangeId)
	}
	return resp, nil
}

func (s *Server) describeAll(ctx context.Context) []*pontoonpb.DescribeReply {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	nodes := s.Cluster.Nodes()
	replies := make([]*pontoonpb.DescribeReply, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			if d, err := s.Cluster.Describe(ctx, proto.NodeID(n.NodeId)); err == nil {
				replies[i] = d
			}
		})
	}
	wg.Wait()
	return slices.DeleteFunc(replies, func(d *pontoonpb.DescribeReply) bool { return d == nil })
}

// RangeSplit splits the range that holds the key.
func (s *Server) RangeSplit(ctx context.Context, req *pontoonpb.RangeSplitRequest) (*pontoonpb.RangeSplitResponse, error) {
	key := keys.User(req.Key)
	switch {
	case req.Lease && len(req.Key) != 8:
		return nil, status.Error(codes.InvalidArgument, "a lease span is split at an 8-byte big-endian lease id")
	case req.Lease:
		key = keys.Lease(proto.LeaseID(binary.BigEndian.Uint64(req.Key)))
	case len(req.Key) == 0:
		return nil, status.Error(codes.InvalidArgument, "the split key must not be empty: it would be a boundary already")
	}
	id, err := s.Cluster.AllocRangeID(ctx)
	if err != nil {
		return nil, proto.ClientError(err)
	}
	reply, err := s.Cluster.Send(ctx, &pontoonpb.RangeOp{
		Span: keys.Point(key).Wire(),
		Op:   &pontoonpb.RangeOp_Split{Split: &pontoonpb.SplitOp{Key: key, RightRangeId: uint64(id)}},
	})
	if err != nil {
		return nil, operatorError(err)
	}
	return &pontoonpb.RangeSplitResponse{Left: reply.GetSplit().Left, Right: reply.GetSplit().Right}, nil
}

// RangeTransferLeader moves a range's leadership.
func (s *Server) RangeTransferLeader(ctx context.Context, req *pontoonpb.RangeTransferLeaderRequest) (*pontoonpb.RangeTransferLeaderResponse, error) {
	shown, err := s.RangeShow(ctx, &pontoonpb.RangeShowRequest{RangeId: req.RangeId})
	if err != nil {
		return nil, err
	}
	desc := shown.Replicas[0].Desc
	if !slices.ContainsFunc(desc.Replicas, func(r *pontoonpb.Replica) bool { return r.NodeId == req.ToNode }) {
		return nil, refusal("%s has no replica of range %d", s.nodeName(req.ToNode), req.RangeId)
	}
	_, err = s.Cluster.Send(ctx, &pontoonpb.RangeOp{
		Span: keys.Point(desc.Span.Start).Wire(),
		Op:   &pontoonpb.RangeOp_Transfer{Transfer: &pontoonpb.TransferOp{ToNode: req.ToNode}},
	})
	if err != nil {
		return nil, operatorError(err)
	}
	return &pontoonpb.RangeTransferLeaderResponse{}, nil
}

// operatorError keeps the reason of a refusal.
func operatorError(err error) error {
	if proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED) {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	return proto.ClientError(err)
}
