package node

import (
	"context"

	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/placement/gossip"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router"
)

// clusterView is the cluster as the admin, cluster and maintenance services
// see it: members from the bootstrap, the rest from gossip.
type clusterView struct {
	*router.Sender
	node *Node
	dir  *directory.Directory
}

// Nodes lists the members with their state; one that gossip never saw is dead.
func (c clusterView) Nodes() []*pontoonpb.NodeStatus {
	n := c.node
	out := make([]*pontoonpb.NodeStatus, 0, len(n.members.Members))
	for _, m := range n.members.Members {
		s := &pontoonpb.NodeStatus{NodeId: uint64(m.ID), Name: m.Name, PeerUrls: m.PeerURLs, State: string(gossip.Dead)}
		if g, ok := n.gossip.Member(m.ID); ok {
			s.State = string(g.State)
			fillStatus(s, g.Meta)
		}
		if m.ID == n.members.Self {
			s.State = string(gossip.Live)
			fillStatus(s, n.meta())
		}
		out = append(out, s)
	}
	return out
}

func fillStatus(s *pontoonpb.NodeStatus, m gossip.Meta) {
	s.ClientUrls, s.Version = m.ClientURLs, m.Version
	s.Replicas, s.Leaders, s.SizeBytes = m.Replicas, m.Leaders, m.SizeBytes
}

// Describe asks a node to describe itself.
func (c clusterView) Describe(ctx context.Context, id proto.NodeID) (*pontoonpb.DescribeReply, error) {
	if id == c.node.members.Self {
		return c.node.describe(), nil
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

// Confirm returns once the sequencer answered, which only a leader of the root
// range with a quorum behind it does.
func (c clusterView) Confirm(ctx context.Context) error {
	_, err := c.node.numbers.ReadRevision(ctx)
	return err
}
