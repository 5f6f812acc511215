package node

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node/members"
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
	node      *Node
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
	if err := p.checkCluster(r.ClusterId); err != nil {
		return nil, err
	}
	return p.node.describe(proto.RangeID(r.RangeId)), nil
}

func (p *peerService) Report(_ context.Context, r *pontoonpb.ReportRequest) (*pontoonpb.ReportReply, error) {
	if err := p.checkCluster(r.ClusterId); err != nil {
		return nil, err
	}
	return p.node.report(r.Boot, r.Since), nil
}

func (p *peerService) Place(_ context.Context, r *pontoonpb.PlaceRequest) (*pontoonpb.PlaceReply, error) {
	if err := p.checkCluster(r.ClusterId); err != nil {
		return nil, err
	}
	return p.node.placement.Place(r), nil
}

// Join serves nodes that have no id yet, or come back. Where one says it is now
// is believed at once, so that the others find it while the root range cannot
// be written. A founder without data, which names the cluster and no id, is told at
// once who is known here: there may be no quorum without it.
func (p *peerService) Join(ctx context.Context, r *pontoonpb.JoinRequest) (*pontoonpb.JoinReply, error) {
	n := p.node
	if r.ClusterId != 0 && r.ClusterId != n.members.ID {
		return &pontoonpb.JoinReply{ClusterId: n.members.ID, Refused: "this node belongs to another cluster"}, nil
	}
	if r.ClusterId != 0 && r.NodeId == 0 {
		return &pontoonpb.JoinReply{ClusterId: n.members.ID, Nodes: n.roster.Nodes()}, nil
	}
	if len(r.PeerUrls) == 0 || r.Name == "" {
		return nil, status.Error(codes.InvalidArgument, "a node that joins needs a name and peer URLs")
	}
	if id := proto.NodeID(r.NodeId); id != 0 && id != n.members.Self && n.roster.Node(id) != nil {
		n.reach(id, r.PeerUrls[0])
		n.cameBack(ctx, id)
	}
	record, err := n.membership.Join(ctx, r)
	if r.NodeId == 0 {
		n.recallMembers(ctx)
	}
	reply := &pontoonpb.JoinReply{ClusterId: n.members.ID, Node: record, Nodes: n.roster.Nodes()}
	var no *members.Refusal
	switch {
	case errors.As(err, &no):
		reply.Refused, reply.Removed = no.Reason, no.Removed
		return reply, nil
	case err != nil:
		return nil, proto.ClientError(err)
	}
	if d := n.root.known(); d != nil {
		reply.Ranges = append(reply.Ranges, d)
	}
	return reply, nil
}

// recallTimeout bounds the reading of the members for one that joins.
const recallTimeout = time.Second

// recallMembers reads the members as they are: a node that joins checks its
// flags against them, right after they changed through another node. Without an
// answer of the root range it is told what was known.
func (n *Node) recallMembers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, recallTimeout)
	defer cancel()
	if err := n.roster.Refresh(ctx); err != nil {
		n.cfg.Logger.Debug("members not read for a node that joins", "error", err)
	}
}

// cameBackTimeout bounds the wait for a connection to a node that came back.
const cameBackTimeout = 300 * time.Millisecond

// cameBack connects to a node that says it is there, instead of waiting for a
// backoff to end: it counts on being reached once it was answered.
func (n *Node) cameBack(ctx context.Context, id proto.NodeID) {
	if n.roster.Removed(id) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cameBackTimeout)
	defer cancel()
	n.peers.Retry(ctx, id)
	n.store.Transport().Retry(id)
}

func (p *peerService) checkCluster(id uint64) error {
	if id != p.node.members.ID {
		return status.Errorf(codes.FailedPrecondition, "this node belongs to cluster %x", p.node.members.ID)
	}
	return nil
}

// describe says of this node what others and operators want to know: of all
// ranges here, or of one, and then of the root range from hearsay too.
func (n *Node) describe(only proto.RangeID) *pontoonpb.DescribeReply {
	sizes := n.engine.Sizes()
	d := &pontoonpb.DescribeReply{
		ClusterId: n.members.ID, NodeId: uint64(n.members.Self), Name: n.cfg.Name,
		ClientUrls: n.cfg.AdvertiseClientURLs, PeerUrls: n.cfg.AdvertisePeerURLs,
		Version:   version.Pontoon,
		SizeBytes: sizes.Disk, SizeInUseBytes: sizes.InUse,
		Seen: int64(n.numbers.Seen()), Boot: n.boot,
	}
	switch {
	case only == 0:
		d.Ranges = n.store.Statuses()
	case only == proto.RootRange:
		if desc := n.root.known(); desc != nil {
			d.Ranges = append(d.Ranges, &pontoonpb.RangeStatus{Desc: desc, LeaderNode: uint64(n.rootLeader())})
		}
	}
	return d
}

// report is what placement decides by, as far as it is news after the report of
// that boot and number.
func (n *Node) report(boot, since uint64) *pontoonpb.ReportReply {
	if boot != n.boot {
		since = 0
	}
	news := n.store.Report(since)
	r := &pontoonpb.ReportReply{
		NodeId: uint64(n.members.Self), Boot: n.boot, Number: news.Number, Led: news.Led, Same: news.Same,
		SizeBytes: n.engine.Sizes().Disk,
	}
	r.Replicas, _ = n.store.Count()
	r.DiskFreeBytes, r.DiskTotalBytes = diskSpace(n.cfg.DataDir)
	for _, s := range r.Led {
		r.WritesPerSecond += s.GetLoad().GetWritesPerSecond()
		r.ReadsPerSecond += s.GetLoad().GetReadsPerSecond()
	}
	return r
}

// meta is the part of it that gossip carries: nothing per range.
func (n *Node) meta() gossip.Meta {
	m := gossip.Meta{
		Node: n.members.Self, Boot: n.boot, Name: n.cfg.Name, Version: version.Pontoon,
		PeerURLs: n.cfg.AdvertisePeerURLs, ClientURLs: n.cfg.AdvertiseClientURLs,
		SizeBytes: n.engine.Sizes().Disk, RootLeader: n.store.Leader(proto.RootRange),
		Roster: n.roster.Revision(), Leaving: n.goodbye.Load(),
	}
	m.Replicas, m.Leaders = n.store.Count()
	m.DiskFree, m.DiskTotal = diskSpace(n.cfg.DataDir)
	return m
}
