package api

import (
	"context"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/node/version"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Maintenance is etcd's Maintenance service.
type Maintenance struct {
	pb.UnimplementedMaintenanceServer
	Header    *Header
	Sequencer Sequencer
	Store     Store
	Ranges    Ranges
	Alarms    Alarms
	Members   Members
	// Quota is what users' data may take in this node's store, bytes; negative:
	// it is not bounded.
	Quota func() int64
	// RootLeader names the leader of the root range, 0 if it is not known. Asked
	// where this node has no replica of it.
	RootLeader func() proto.NodeID
}

// Status describes this node. Leader, term and indexes are the root range's:
// the one raft group that every node knows and whose loss stops the cluster.
func (m *Maintenance) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	total, inUse := m.Store.Sizes()
	resp := &pb.StatusResponse{
		Header:         m.Header.Header(int64(m.Sequencer.Seen())),
		Version:        version.Etcd,
		StorageVersion: version.Storage,
		DbSize:         total,
		DbSizeInUse:    inUse,
		DbSizeQuota:    m.Quota(),
		RaftTerm:       uint64(m.Header.Term()),
		IsLearner:      m.isLearner(ctx),
		DowngradeInfo:  &pb.DowngradeInfo{},
	}
	if target := m.Alarms.DowngradeTarget(); target != "" {
		resp.DowngradeInfo = &pb.DowngradeInfo{Enabled: true, TargetVersion: target}
	}
	for _, r := range m.Store.Statuses() {
		if proto.RangeID(r.Desc.RangeId) != proto.RootRange {
			continue
		}
		resp.Leader = r.LeaderNode
		resp.RaftTerm = r.Term
		resp.RaftIndex = r.LastIndex
		resp.RaftAppliedIndex = r.AppliedIndex
	}
	if resp.Leader == 0 {
		resp.Leader = uint64(m.RootLeader())
	}
	if resp.Leader == 0 {
		resp.Errors = append(resp.Errors, "etcdserver: no leader")
	}
	for _, a := range m.Alarms.Known() {
		resp.Errors = append(resp.Errors, alarmText(a))
	}
	return resp, nil
}

// alarmText is what etcd shows, which leaves out what is zero. The generated
// String is not meant to be stable: it varies its spaces.
func alarmText(a *pb.AlarmMember) string {
	var parts []string
	if a.MemberID != 0 {
		parts = append(parts, fmt.Sprintf("memberID:%d", a.MemberID))
	}
	if a.Alarm != pb.AlarmType_NONE {
		parts = append(parts, "alarm:"+a.Alarm.String())
	}
	return strings.Join(parts, " ")
}

// isLearner reports whether this node is a learner member, as its newest
// records say.
func (m *Maintenance) isLearner(ctx context.Context) bool {
	nodes, err := m.Members.Nodes(ctx, false)
	if err != nil {
		return false
	}
	for _, n := range nodes {
		if proto.NodeID(n.NodeId) == m.Header.MemberID {
			return n.Learner
		}
	}
	return false
}

// Hash is the hash of everything this node can see at the current revision.
func (m *Maintenance) Hash(ctx context.Context, _ *pb.HashRequest) (*pb.HashResponse, error) {
	h, err := m.hashKV(ctx, 0)
	if err != nil {
		return nil, proto.ClientError(err)
	}
	return &pb.HashResponse{Header: m.Header.Header(h.HashRevision), Hash: h.Hash}, nil
}

// HashKV hashes the store as it was at the revision, from the replicas of this
// node where it has them, so that endpoints can be compared, before a compaction
// at the revision and after it (P43).
func (m *Maintenance) HashKV(ctx context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	h, err := m.hashKV(ctx, proto.Revision(r.Revision))
	if err != nil {
		return nil, proto.ClientError(err)
	}
	return h, nil
}

// hashOfNothing is the hash of an empty store. It is not zero, as in etcd, which
// hashes a word first: JSON leaves a zero out.
const hashOfNothing = 0x706f6e74

func (m *Maintenance) hashKV(ctx context.Context, rev proto.Revision) (*pb.HashKVResponse, error) {
	current, floor, err := m.Sequencer.Current(ctx)
	switch {
	case err != nil:
		return nil, err
	case rev > current:
		return nil, rpctypes.ErrGRPCFutureRev
	case rev > 0 && rev < floor:
		return nil, rpctypes.ErrGRPCCompacted
	case rev <= 0:
		rev = current
	}
	m.Store.PushClosed(rev)
	retry := newBackoff()
	for {
		resp := &pb.HashKVResponse{
			Header: m.Header.Header(int64(current)), CompactRevision: int64(floor), HashRevision: int64(rev),
			Hash: hashOfNothing,
		}
		err := m.addRanges(ctx, rev, resp)
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH) {
			return resp, err
		}
		// A range was split or merged after its descriptor was found.
		if err := retry.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// addRanges adds up the hashes of all ranges, which may change meanwhile.
func (m *Maintenance) addRanges(ctx context.Context, rev proto.Revision, resp *pb.HashKVResponse) error {
	ranges, err := m.Ranges.Cover(ctx, userSpan)
	if err != nil {
		return err
	}
	for _, d := range ranges {
		part, err := m.hashRange(ctx, d, rev)
		if err != nil {
			return err
		}
		resp.Hash += part.Hash
		resp.CompactRevision = max(resp.CompactRevision, part.Floor)
	}
	return nil
}

// hashRange asks the local replica first; its closed revision is on its way,
// so a refusal for being behind is tried again until ctx ends.
func (m *Maintenance) hashRange(ctx context.Context, d *pontoonpb.Descriptor, rev proto.Revision) (*pontoonpb.HashReply, error) {
	op := &pontoonpb.RangeOp{
		RangeId: d.RangeId, Span: proto.SpanOf(d.Span).Intersect(userSpan).Wire(),
		Op: &pontoonpb.RangeOp_Hash{Hash: &pontoonpb.HashOp{Revision: int64(rev)}},
	}
	retry := newBackoff()
	for m.hosts(d) {
		reply := m.Store.Do(ctx, op)
		err := proto.FromWire(reply.Error)
		if err == nil {
			return reply.GetHash(), nil
		}
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_STALE_CLOSED) {
			break
		}
		if err := retry.wait(ctx); err != nil {
			return nil, err
		}
		m.Store.PushClosed(rev)
	}
	reply, err := m.Ranges.Send(ctx, op)
	if err != nil {
		return nil, err
	}
	return reply.GetHash(), nil
}

func (m *Maintenance) hosts(d *pontoonpb.Descriptor) bool {
	for _, r := range d.Replicas {
		if proto.NodeID(r.NodeId) == m.Header.MemberID {
			return true
		}
	}
	return false
}
