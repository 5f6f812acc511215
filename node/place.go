package node

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// placeTries bounds how often a request follows the root range's leader.
const placeTries = 5

// Place asks the placement driver, which runs beside the root range's leader.
func (c clusterView) Place(ctx context.Context, req *pontoonpb.PlaceRequest) (*pontoonpb.PlaceReply, error) {
	req.ClusterId = c.node.members.ID
	at := c.node.rootLeader()
	for range placeTries {
		if at == 0 {
			break
		}
		reply, err := c.placeAt(ctx, at, req)
		if err != nil {
			return nil, err
		}
		if !reply.NotLeader {
			return reply, nil
		}
		at = proto.NodeID(reply.LeaderNode)
	}
	return nil, status.Error(codes.Unavailable, "the placement driver moves; try again")
}

func (c clusterView) placeAt(ctx context.Context, at proto.NodeID, req *pontoonpb.PlaceRequest) (*pontoonpb.PlaceReply, error) {
	if at == c.node.members.Self {
		return c.node.place(ctx, req)
	}
	conn, err := c.node.peers.Conn(at)
	if err != nil {
		return nil, err
	}
	return pontoonpb.NewPeerClient(conn).Place(ctx, req)
}

// place serves a request to the placement driver of this node.
func (n *Node) place(_ context.Context, req *pontoonpb.PlaceRequest) (*pontoonpb.PlaceReply, error) {
	return n.placement.Place(req), nil
}
