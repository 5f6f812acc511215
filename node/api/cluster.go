package api

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
)

// Cluster is etcd's Cluster service.
type Cluster struct {
	pb.UnimplementedClusterServer
	Header *Header
	Nodes  Nodes
}

// MemberList lists the nodes. The header carries no revision, as in etcd.
func (c *Cluster) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if r.Linearizable {
		if err := c.Nodes.Confirm(ctx); err != nil {
			return nil, proto.ClientError(err)
		}
	}
	resp := &pb.MemberListResponse{Header: c.Header.Header(0)}
	for _, n := range c.Nodes.Nodes() {
		resp.Members = append(resp.Members, &pb.Member{
			ID: n.NodeId, Name: n.Name, PeerURLs: n.PeerUrls, ClientURLs: n.ClientUrls,
		})
	}
	return resp, nil
}
