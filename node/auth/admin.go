package auth

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Maintenance guards a Maintenance service as etcd does: status and the list of
// alarms for whoever authenticated, the rest for administrators.
type Maintenance struct {
	pb.MaintenanceServer
	guard *Guard
}

// Maintenance returns m guarded.
func (g *Guard) Maintenance(m pb.MaintenanceServer) *Maintenance { return &Maintenance{m, g} }

// Alarm implements etcdserverpb.MaintenanceServer.
func (s *Maintenance) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	if r.Action == pb.AlarmRequest_GET {
		return local(ctx, s.guard, isKnown, func() (*pb.AlarmResponse, error) { return s.MaintenanceServer.Alarm(ctx, r) })
	}
	return local(ctx, s.guard, isAdmin, func() (*pb.AlarmResponse, error) { return s.MaintenanceServer.Alarm(ctx, r) })
}

// Status implements etcdserverpb.MaintenanceServer.
func (s *Maintenance) Status(ctx context.Context, r *pb.StatusRequest) (*pb.StatusResponse, error) {
	return local(ctx, s.guard, isKnown, func() (*pb.StatusResponse, error) { return s.MaintenanceServer.Status(ctx, r) })
}

// Defragment implements etcdserverpb.MaintenanceServer.
func (s *Maintenance) Defragment(ctx context.Context, r *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	return local(ctx, s.guard, isAdmin, func() (*pb.DefragmentResponse, error) { return s.MaintenanceServer.Defragment(ctx, r) })
}

// Hash implements etcdserverpb.MaintenanceServer.
func (s *Maintenance) Hash(ctx context.Context, r *pb.HashRequest) (*pb.HashResponse, error) {
	return local(ctx, s.guard, isAdmin, func() (*pb.HashResponse, error) { return s.MaintenanceServer.Hash(ctx, r) })
}

// HashKV implements etcdserverpb.MaintenanceServer.
func (s *Maintenance) HashKV(ctx context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	return local(ctx, s.guard, isAdmin, func() (*pb.HashKVResponse, error) { return s.MaintenanceServer.HashKV(ctx, r) })
}

// Snapshot implements etcdserverpb.MaintenanceServer.
func (s *Maintenance) Snapshot(r *pb.SnapshotRequest, stream pb.Maintenance_SnapshotServer) error {
	_, err := local(stream.Context(), s.guard, isAdmin, func() (struct{}, error) { return struct{}{}, s.MaintenanceServer.Snapshot(r, stream) })
	return err
}

// MoveLeader implements etcdserverpb.MaintenanceServer.
func (s *Maintenance) MoveLeader(ctx context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	return local(ctx, s.guard, isAdmin, func() (*pb.MoveLeaderResponse, error) { return s.MaintenanceServer.MoveLeader(ctx, r) })
}

// Downgrade implements etcdserverpb.MaintenanceServer.
func (s *Maintenance) Downgrade(ctx context.Context, r *pb.DowngradeRequest) (*pb.DowngradeResponse, error) {
	return local(ctx, s.guard, isAdmin, func() (*pb.DowngradeResponse, error) { return s.MaintenanceServer.Downgrade(ctx, r) })
}

// Cluster guards a Cluster service as etcd does: the list for whoever authenticated,
// changes for administrators.
type Cluster struct {
	pb.ClusterServer
	guard *Guard
}

// Cluster returns c guarded.
func (g *Guard) Cluster(c pb.ClusterServer) *Cluster { return &Cluster{c, g} }

// MemberList implements etcdserverpb.ClusterServer. A list that need not be
// linearizable is answered while the root range is away.
func (s *Cluster) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if !r.Linearizable {
		return local(ctx, s.guard, isKnown, func() (*pb.MemberListResponse, error) { return s.ClusterServer.MemberList(ctx, r) })
	}
	return confirmed(ctx, s.guard, isKnown, func(ctx context.Context) (*pb.MemberListResponse, error) {
		return s.ClusterServer.MemberList(ctx, r)
	})
}

// MemberAdd implements etcdserverpb.ClusterServer.
func (s *Cluster) MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	return confirmed(ctx, s.guard, isAdmin, func(ctx context.Context) (*pb.MemberAddResponse, error) { return s.ClusterServer.MemberAdd(ctx, r) })
}

// MemberRemove implements etcdserverpb.ClusterServer.
func (s *Cluster) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	return confirmed(ctx, s.guard, isAdmin, func(ctx context.Context) (*pb.MemberRemoveResponse, error) {
		return s.ClusterServer.MemberRemove(ctx, r)
	})
}

// MemberUpdate implements etcdserverpb.ClusterServer.
func (s *Cluster) MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	return confirmed(ctx, s.guard, isAdmin, func(ctx context.Context) (*pb.MemberUpdateResponse, error) {
		return s.ClusterServer.MemberUpdate(ctx, r)
	})
}

// MemberPromote implements etcdserverpb.ClusterServer.
func (s *Cluster) MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	return confirmed(ctx, s.guard, isAdmin, func(ctx context.Context) (*pb.MemberPromoteResponse, error) {
		return s.ClusterServer.MemberPromote(ctx, r)
	})
}

// local runs something under the rules of the newest epoch heard of: it must
// work while the root range is away.
func local[Resp any](ctx context.Context, g *Guard, check func(context.Context, caller) error, run func() (Resp, error)) (none Resp, err error) {
	if _, err := g.allow(ctx, check); err != nil {
		return none, err
	}
	return run()
}
