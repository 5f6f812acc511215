package admin

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// NodeList lists the nodes.
func (s *Server) NodeList(context.Context, *pontoonpb.NodeListRequest) (*pontoonpb.NodeListResponse, error) {
	return &pontoonpb.NodeListResponse{Nodes: s.Cluster.Nodes()}, nil
}

// NodeDrain lets leaderships and replicas move away from a node, or with undo
// come back to it.
func (s *Server) NodeDrain(ctx context.Context, req *pontoonpb.NodeDrainRequest) (*pontoonpb.NodeDrainResponse, error) {
	if _, err := s.member(req.NodeId); err != nil {
		return nil, err
	}
	if err := s.Cluster.Drain(ctx, proto.NodeID(req.NodeId), req.Undo); err != nil {
		return nil, operatorError(err)
	}
	n, err := s.member(req.NodeId)
	if err != nil {
		return nil, err
	}
	return &pontoonpb.NodeDrainResponse{Node: n}, nil
}

// NodeRemove removes a node for good.
func (s *Server) NodeRemove(ctx context.Context, req *pontoonpb.NodeRemoveRequest) (*pontoonpb.NodeRemoveResponse, error) {
	if _, err := s.member(req.NodeId); err != nil {
		return nil, err
	}
	if err := s.Cluster.Remove(ctx, proto.NodeID(req.NodeId), req.Force); err != nil {
		return nil, operatorError(err)
	}
	return &pontoonpb.NodeRemoveResponse{}, nil
}

// member returns a node that belongs to the cluster or did.
func (s *Server) member(id uint64) (*pontoonpb.NodeStatus, error) {
	nodes := s.Cluster.Nodes()
	i := slices.IndexFunc(nodes, func(n *pontoonpb.NodeStatus) bool { return n.NodeId == id })
	if i < 0 {
		return nil, status.Errorf(codes.NotFound, "no node %x belongs to the cluster", id)
	}
	return nodes[i], nil
}
