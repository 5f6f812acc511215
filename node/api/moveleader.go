package api

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// errTransferTimeout is etcd's; its clients know it by its text alone.
var errTransferTimeout = status.Error(codes.Unknown, "etcdserver: request timed out, leader transfer took too long")

// MoveLeader hands the leadership of the root range over, which is what etcd's
// clients mean by the leader. The answer has no header, as in etcd.
func (m *Maintenance) MoveLeader(ctx context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	if m.RootLeader() != m.Header.MemberID {
		return nil, rpctypes.ErrGRPCNotLeader
	}
	if err := m.awaitTransferee(ctx, r.TargetID); err != nil {
		return nil, err
	}
	reply := m.Store.Do(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange), Span: keys.MetaSpan.Wire(),
		Op: &pontoonpb.RangeOp_Transfer{Transfer: &pontoonpb.TransferOp{ToNode: r.TargetID}},
	})
	err := proto.FromWire(reply.Error)
	switch {
	case err == nil:
		return &pb.MoveLeaderResponse{}, nil
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case proto.HasCode(err, pontoonpb.RangeErrorCode_NOT_LEADER):
		return nil, rpctypes.ErrGRPCNotLeader
	case proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED):
		return nil, errTransferTimeout
	}
	return nil, proto.ClientError(err)
}

// A member that was promoted a moment ago has transferWait to get its replica of the
// root range, as long as etcd lets a request take.
const (
	transferWait = 7 * time.Second
	transferPoll = 20 * time.Millisecond
)

// awaitTransferee returns once a member votes in the root range. In etcd every member
// but a learner may lead at once; here its replica is still on its way.
func (m *Maintenance) awaitTransferee(ctx context.Context, target uint64) error {
	nodes, err := m.Members.Nodes(ctx, true) // it may have been promoted elsewhere
	if err != nil {
		return proto.ClientError(err)
	}
	voters, member := 0, false
	for _, n := range members.Active(nodes) {
		if !n.Learner {
			voters++
			member = member || n.NodeId == target
		}
	}
	if !member {
		return rpctypes.ErrGRPCBadLeaderTransferee
	}
	limit, poll := time.NewTimer(transferWait), time.NewTicker(transferPoll)
	defer limit.Stop()
	defer poll.Stop()
	for {
		switch votes, coming := m.rootReplica(target, voters); {
		case votes:
			return nil
		case !coming:
			return rpctypes.ErrGRPCBadLeaderTransferee
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-limit.C:
			return errTransferTimeout
		}
	}
}

// fewReplicas of the root range are never enough where there are more members.
const fewReplicas = 3

// rootReplica reports whether a member votes in the root range, and if not, whether it
// is about to: it has a replica that learns, or the range lacks replicas.
func (m *Maintenance) rootReplica(target uint64, members int) (votes, coming bool) {
	for _, st := range m.Store.Statuses() {
		if proto.RangeID(st.Desc.RangeId) != proto.RootRange {
			continue
		}
		have := 0
		for _, r := range st.Desc.Replicas {
			voter := r.Role != pontoonpb.ReplicaRole_REPLICA_LEARNER
			switch {
			case r.NodeId == target && voter:
				return true, false
			case r.NodeId == target:
				coming = true
			case voter:
				have++
			}
		}
		coming = coming || have < min(members, fewReplicas)
	}
	return false, coming
}
