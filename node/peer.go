package node

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node/version"
	"github.com/pontoon-kv/pontoon/placement/gossip"
	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
)

// peerService is what nodes ask of each other: each RPC is served by the room
// that owns it.
type peerService struct {
	pontoonpb.UnimplementedPeerServer
	store     *transport.Server
	sequencer *sequencer.Server
	gossip    *gossip.Gossip
	describe  func() *pontoonpb.DescribeReply
	clusterID uint64
}

func (p *peerService) Raft(s pontoonpb.Peer_RaftServer) error { return p.store.Raft(s) }
func (p *peerService) RaftSnapshot(s pontoonpb.Peer_RaftSnapshotServer) error {
	return p.store.RaftSnapshot(s)
}
func (p *peerService) Ops(s pontoonpb.Peer_OpsServer) error { return p.store.Ops(s) }

func (p *peerService) Feed(r *pontoonpb.FeedRequest, s pontoonpb.Peer_FeedServer) error {
	return p.store.Feed(r, s)
}

func (p *peerService) Sequence(s pontoonpb.Peer_SequenceServer) error { return p.sequencer.Sequence(s) }
func (p *peerService) Gossip(s pontoonpb.Peer_GossipServer) error     { return p.gossip.Gossip(s) }

func (p *peerService) Describe(_ context.Context, r *pontoonpb.DescribeRequest) (*pontoonpb.DescribeReply, error) {
	if r.ClusterId != p.clusterID {
		return nil, status.Errorf(codes.FailedPrecondition, "this node belongs to cluster %x", p.clusterID)
	}
	return p.describe(), nil
}

// describe says of this node what others and operators want to know.
func (n *Node) describe() *pontoonpb.DescribeReply {
	sizes := n.engine.Sizes()
	return &pontoonpb.DescribeReply{
		ClusterId: n.members.ID, NodeId: uint64(n.members.Self), Name: n.cfg.Name,
		ClientUrls: n.cfg.AdvertiseClientURLs, PeerUrls: n.cfg.AdvertisePeerURLs,
		Version: version.Pontoon, Ranges: n.store.Statuses(),
		SizeBytes: sizes.Disk, SizeInUseBytes: sizes.InUse,
		Seen: int64(n.numbers.Seen()), Boot: n.boot,
	}
}

// meta is the part of it that gossip carries.
func (n *Node) meta() gossip.Meta {
	m := gossip.Meta{
		Node: n.members.Self, Boot: n.boot, Name: n.cfg.Name, Version: version.Pontoon,
		PeerURLs: n.cfg.AdvertisePeerURLs, ClientURLs: n.cfg.AdvertiseClientURLs,
		SizeBytes: n.engine.Sizes().Disk,
	}
	for _, r := range n.store.Statuses() {
		m.Replicas++
		if r.LeaderNode == r.NodeId {
			m.Leaders++
		}
		if proto.RangeID(r.Desc.RangeId) == proto.RootRange {
			m.RootLeader = proto.NodeID(r.LeaderNode)
		}
	}
	return m
}
