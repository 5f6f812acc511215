package node

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/placement/gossip"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router"
)

// clusterView is the cluster as the admin, cluster and maintenance services
// see it: members from the records last read, the rest from gossip.
type clusterView struct {
	*router.Sender
	node *Node
	dir  *directory.Directory
}

// Raise raises an alarm.
func (c clusterView) Raise(ctx context.Context, member proto.NodeID, kind pb.AlarmType) error {
	return c.node.alarms.Raise(ctx, member, kind)
}

// Nodes lists the members with their state; one that gossip never saw is dead,
// one that was added and never started is new.
func (c clusterView) Nodes() []*pontoonpb.NodeStatus {
	n := c.node
	var out []*pontoonpb.NodeStatus
	for _, r := range n.roster.Nodes() {
		if r.State == pontoonpb.NodeState_NODE_REMOVED {
			continue
		}
		s := &pontoonpb.NodeStatus{
			NodeId: r.NodeId, Name: r.Name, PeerUrls: r.PeerUrls, ClientUrls: r.ClientUrls, Version: r.Version,
			Locality: r.Locality, Learner: r.Learner, State: string(gossip.Dead),
		}
		id := proto.NodeID(r.NodeId)
		if g, ok := n.gossip.Member(id); ok {
			s.State = string(g.State)
			fillStatus(s, g.Meta)
		}
		switch {
		case id == n.members.Self:
			s.State = string(gossip.Live)
			fillStatus(s, n.meta())
		case r.Name == "":
			s.State = "new"
		}
		if s.State == string(gossip.Live) && r.State == pontoonpb.NodeState_NODE_DRAINING {
			s.State = "draining"
		}
		out = append(out, s)
	}
	return out
}

func fillStatus(s *pontoonpb.NodeStatus, m gossip.Meta) {
	if len(m.ClientURLs) > 0 {
		s.ClientUrls = m.ClientURLs
	}
	s.Version = m.Version
	s.Replicas, s.Leaders, s.SizeBytes = m.Replicas, m.Leaders, m.SizeBytes
	s.DiskFreeBytes, s.DiskTotalBytes = m.DiskFree, m.DiskTotal
}

// Describe asks a node to describe itself.
func (c clusterView) Describe(ctx context.Context, id proto.NodeID) (*pontoonpb.DescribeReply, error) {
	if id == c.node.members.Self {
		return c.node.describe(0), nil
	}
	conn, err := c.node.peers.Conn(id)
	if err != nil {
		return nil, err
	}
	return pontoonpb.NewPeerClient(conn).Describe(ctx, &pontoonpb.DescribeRequest{ClusterId: c.node.members.ID})
}

// Call runs an operation on the replica of a node.
func (c clusterView) Call(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	return c.node.store.Call(ctx, node, op)
}

// AllocRangeID returns an id that no range ever had.
func (c clusterView) AllocRangeID(ctx context.Context) (proto.RangeID, error) {
	return c.dir.AllocRangeID(ctx)
}
