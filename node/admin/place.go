package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// RangeMerge merges a range with its right neighbour.
func (s *Server) RangeMerge(ctx context.Context, req *pontoonpb.RangeMergeRequest) (*pontoonpb.RangeMergeResponse, error) {
	desc, err := s.descriptor(ctx, req.RangeId)
	if err != nil {
		return nil, err
	}
	if err := mergeable(desc); err != nil {
		return nil, err
	}
	op, err := s.operator(ctx, &pontoonpb.PlaceRequest{
		Request: &pontoonpb.PlaceRequest_Merge{Merge: &pontoonpb.MergeRange{RangeId: req.RangeId}},
	})
	if err != nil {
		return nil, err
	}
	return &pontoonpb.RangeMergeResponse{Operator: op}, nil
}

// RangeMove moves a replica, adds one or removes one.
func (s *Server) RangeMove(ctx context.Context, req *pontoonpb.RangeMoveRequest) (*pontoonpb.RangeMoveResponse, error) {
	desc, err := s.descriptor(ctx, req.RangeId)
	if err != nil {
		return nil, err
	}
	if err := s.movable(desc, req.FromNode, req.ToNode); err != nil {
		return nil, err
	}
	op, err := s.operator(ctx, &pontoonpb.PlaceRequest{
		Request: &pontoonpb.PlaceRequest_Move{Move: &pontoonpb.MoveReplica{
			RangeId: req.RangeId, FromNode: req.FromNode, ToNode: req.ToNode,
		}},
	})
	if err != nil {
		return nil, err
	}
	return &pontoonpb.RangeMoveResponse{Operator: op}, nil
}

// PlacementOperators lists what the placement driver does.
func (s *Server) PlacementOperators(ctx context.Context, req *pontoonpb.PlacementOperatorsRequest) (*pontoonpb.PlacementOperatorsResponse, error) {
	reply, err := s.place(ctx, &pontoonpb.PlaceRequest{
		Request: &pontoonpb.PlaceRequest_List{List: &pontoonpb.ListOperators{Ended: req.Ended}},
	})
	if err != nil {
		return nil, err
	}
	return &pontoonpb.PlacementOperatorsResponse{Operators: reply.Operators}, nil
}

// PlacementCancel ends an operator where it stands.
func (s *Server) PlacementCancel(ctx context.Context, req *pontoonpb.PlacementCancelRequest) (*pontoonpb.PlacementCancelResponse, error) {
	_, err := s.place(ctx, &pontoonpb.PlaceRequest{
		Request: &pontoonpb.PlaceRequest_Cancel{Cancel: &pontoonpb.CancelOperator{Id: req.Id}},
	})
	if err != nil {
		return nil, err
	}
	return &pontoonpb.PlacementCancelResponse{}, nil
}

// operator makes one operator.
func (s *Server) operator(ctx context.Context, req *pontoonpb.PlaceRequest) (*pontoonpb.OperatorStatus, error) {
	reply, err := s.place(ctx, req)
	if err != nil {
		return nil, err
	}
	if len(reply.Operators) == 0 {
		return nil, status.Error(codes.Internal, "the placement driver names no operator")
	}
	return reply.Operators[0], nil
}

// place asks the driver; a refusal becomes an error with its reason.
func (s *Server) place(ctx context.Context, req *pontoonpb.PlaceRequest) (*pontoonpb.PlaceReply, error) {
	reply, err := s.Cluster.Place(ctx, req)
	if err != nil {
		return nil, operatorError(err)
	}
	if reply.Refused != "" {
		return nil, status.Error(codes.FailedPrecondition, reply.Refused)
	}
	return reply, nil
}

// descriptor returns the newest descriptor of a range that a replica shows.
func (s *Server) descriptor(ctx context.Context, id uint64) (*pontoonpb.Descriptor, error) {
	shown, err := s.RangeShow(ctx, &pontoonpb.RangeShowRequest{RangeId: id})
	if err != nil {
		return nil, err
	}
	newest := slices.MaxFunc(shown.Replicas, func(a, b *pontoonpb.RangeStatus) int {
		return cmp.Compare(a.Desc.Generation, b.Desc.Generation)
	})
	return newest.Desc, nil
}

// mergeable refuses a range without a right neighbour that it may merge with.
func mergeable(desc *pontoonpb.Descriptor) error {
	switch end := string(desc.Span.End); end {
	case string(keys.MetaSpan.End):
		return refusal("range %d is the root range: it never merges", desc.RangeId)
	case string(keys.LeaseSpan.End):
		return refusal("range %d is the last one of the leases: they never merge with the keys", desc.RangeId)
	case string(keys.UserSpan.End):
		return refusal("range %d is the last one: it has no right neighbour", desc.RangeId)
	}
	return nil
}

// movable refuses what can never be done, before the driver is asked: it sees
// what reports tell, this sees the range.
func (s *Server) movable(desc *pontoonpb.Descriptor, from, to uint64) error {
	switch {
	case from == 0 && to == 0:
		return refusal("name the node to move the replica from, to, or both")
	case from == to:
		return refusal("the replica of range %d is on %s already", desc.RangeId, s.nodeName(to))
	case from != 0 && !holds(desc, from):
		return refusal("%s has no replica of range %d", s.nodeName(from), desc.RangeId)
	case to != 0 && holds(desc, to):
		return refusal("%s has a replica of range %d already", s.nodeName(to), desc.RangeId)
	case to == 0 && voters(desc) <= 1:
		return refusal("%s holds the last replica of range %d", s.nodeName(from), desc.RangeId)
	}
	if to == 0 {
		return nil
	}
	for _, n := range s.Cluster.Nodes() {
		if n.NodeId != to {
			continue
		}
		if n.State != "live" {
			return refusal("%s is %s and takes no replicas", s.nodeName(to), n.State)
		}
		if n.Learner {
			return refusal("%s is a learner member and takes no replicas until it is promoted", s.nodeName(to))
		}
		return nil
	}
	return refusal("no node %x belongs to the cluster", to)
}

func holds(desc *pontoonpb.Descriptor, node uint64) bool {
	return slices.ContainsFunc(desc.Replicas, func(r *pontoonpb.Replica) bool { return r.NodeId == node })
}

func voters(desc *pontoonpb.Descriptor) (n int) {
	for _, r := range desc.Replicas {
		if r.Role == pontoonpb.ReplicaRole_REPLICA_VOTER || r.Role == pontoonpb.ReplicaRole_REPLICA_INCOMING {
			n++
		}
	}
	return n
}

// nodeName renders a node for people.
func (s *Server) nodeName(id uint64) string {
	for _, n := range s.Cluster.Nodes() {
		if n.NodeId == id && n.Name != "" {
			return "node " + n.Name
		}
	}
	return fmt.Sprintf("node %x", id)
}

func refusal(format string, args ...any) error {
	return status.Errorf(codes.FailedPrecondition, format, args...)
}
