package api

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Cluster is etcd's Cluster service. Its headers carry no revision, as in etcd.
type Cluster struct {
	pb.UnimplementedClusterServer
	Header  *Header
	Members Members
}

// MemberList lists the members.
func (c *Cluster) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	list, err := c.list(ctx, r.Linearizable)
	if err != nil {
		return nil, err
	}
	return &pb.MemberListResponse{Header: c.Header.Header(0), Members: list}, nil
}

// MemberAdd adds a member that starts later.
func (c *Cluster) MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	added, err := c.Members.Add(ctx, r.PeerURLs, r.IsLearner)
	if err != nil {
		return nil, proto.ClientError(err)
	}
	list, err := c.list(ctx, true)
	return &pb.MemberAddResponse{Header: c.Header.Header(0), Member: member(added), Members: list}, err
}

// MemberRemove takes a member away; one that lives is emptied before it stops.
func (c *Cluster) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	if err := c.Members.Leave(ctx, proto.NodeID(r.ID)); err != nil {
		return nil, proto.ClientError(err)
	}
	list, err := c.list(ctx, true)
	return &pb.MemberRemoveResponse{Header: c.Header.Header(0), Members: list}, err
}

// MemberUpdate gives a member other peer URLs.
func (c *Cluster) MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	if err := c.Members.Update(ctx, proto.NodeID(r.ID), r.PeerURLs); err != nil {
		return nil, proto.ClientError(err)
	}
	list, err := c.list(ctx, true)
	return &pb.MemberUpdateResponse{Header: c.Header.Header(0), Members: list}, err
}

// MemberPromote lets a learner member hold replicas.
func (c *Cluster) MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	if err := c.Members.Promote(ctx, proto.NodeID(r.ID)); err != nil {
		return nil, proto.ClientError(err)
	}
	list, err := c.list(ctx, true)
	return &pb.MemberPromoteResponse{Header: c.Header.Header(0), Members: list}, err
}

func (c *Cluster) list(ctx context.Context, linearizable bool) ([]*pb.Member, error) {
	nodes, err := c.Members.Nodes(ctx, linearizable)
	if err != nil {
		return nil, proto.ClientError(err)
	}
	var list []*pb.Member
	for _, n := range members.Active(nodes) {
		list = append(list, member(n))
	}
	return list, nil
}

func member(n *pontoonpb.NodeRecord) *pb.Member {
	return &pb.Member{ID: n.NodeId, Name: n.Name, PeerURLs: n.PeerUrls, ClientURLs: n.ClientUrls, IsLearner: n.Learner}
}
