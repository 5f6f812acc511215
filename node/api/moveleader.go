package api

import (
	"context"

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
	ok, err := m.mayLead(ctx, r.TargetID)
	if err != nil {
		return nil, proto.ClientError(err)
	}
	if !ok {
		return nil, rpctypes.ErrGRPCBadLeaderTransferee
	}
	reply := m.Store.Do(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange), Span: keys.MetaSpan.Wire(),
		Op: &pontoonpb.RangeOp_Transfer{Transfer: &pontoonpb.TransferOp{ToNode: r.TargetID}},
	})
	err = proto.FromWire(reply.Error)
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

// mayLead reports whether a member votes in the root range.
func (m *Maintenance) mayLead(ctx context.Context, target uint64) (bool, error) {
	nodes, err := m.Members.Nodes(ctx, false)
	if err != nil {
		return false, err
	}
	member := false
	for _, n := range members.Active(nodes) {
		member = member || n.NodeId == target && !n.Learner
	}
	if !member {
		return false, nil
	}
	for _, st := range m.Store.Statuses() {
		if proto.RangeID(st.Desc.RangeId) != proto.RootRange {
			continue
		}
		for _, r := range st.Desc.Replicas {
			if r.NodeId == target && r.Role != pontoonpb.ReplicaRole_REPLICA_LEARNER {
				return true, nil
			}
		}
	}
	return false, nil
}
