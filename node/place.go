package node

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// A request waits this long for a placement driver that knows its ranges, and
// looks for it so often: it moves with the root range's leader.
const (
	placeWait  = 5 * time.Second
	placeEvery = 100 * time.Millisecond
)

// Place asks the placement driver, which runs beside the root range's leader.
func (c clusterView) Place(ctx context.Context, req *pontoonpb.PlaceRequest) (*pontoonpb.PlaceReply, error) {
	req.ClusterId = c.node.members.ID
	waiting, cancel := context.WithTimeout(ctx, placeWait)
	defer cancel()
	for at := c.node.rootLeader(); ; {
		next := proto.NodeID(0) // whoever is known then
		if at != 0 {
			reply, err := c.placeAt(waiting, at, req)
			switch {
			case err == nil && !reply.NotLeader:
				return reply, nil
			case err == nil && proto.NodeID(reply.LeaderNode) != at:
				next = proto.NodeID(reply.LeaderNode)
			case err == nil:
			case req.GetList() == nil || status.Code(err) != codes.Unavailable:
				return nil, err // an operator may have been made
			}
		}
		select {
		case <-waiting.Done():
			if ctx.Err() != nil {
				return nil, status.FromContextError(ctx.Err()).Err()
			}
			return nil, status.Error(codes.Unavailable, "no node drives placement at present; try again")
		case <-time.After(placeEvery):
		}
		if at = next; at == 0 {
			at = c.node.rootLeader()
		}
	}
}

func (c clusterView) placeAt(ctx context.Context, at proto.NodeID, req *pontoonpb.PlaceRequest) (*pontoonpb.PlaceReply, error) {
	if at == c.node.members.Self {
		return c.node.placement.Place(req), nil
	}
	conn, err := c.node.peers.Conn(at)
	if err != nil {
		return nil, err
	}
	return pontoonpb.NewPeerClient(conn).Place(ctx, req)
}
