package docs

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/pontoon-kv/pontoon/node/config"
)

// script is what asks a node for everything that an answer can hold.
type script struct {
	t    *testing.T
	ctx  context.Context
	node *liveNode
	kv   pb.KVClient
	all  *observed
}

// askEverything has every RPC answered, in cases that together set every field.
func askEverything(t *testing.T, all *observed) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // of a script that hangs
	defer cancel()
	n := startNode(t, all.dialOptions()...)
	s := &script{t, ctx, n, pb.NewKVClient(n.conn), all}
	s.keys()
	s.watches()
	s.leases()
	s.recipes()
	s.maintenance()
	s.members()
	s.auth()
}

func must[T any](s *script) func(T, error) T {
	return func(got T, err error) T {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
		return got
	}
}

func put(key, value string) *pb.PutRequest {
	return &pb.PutRequest{Key: []byte(key), Value: []byte(value)}
}

func (s *script) put(key, value string) { must[*pb.PutResponse](s)(s.kv.Put(s.ctx, put(key, value))) }

func (s *script) keys() {
	s.put("a", "1")
	again := put("a", "2")
	again.PrevKv = true
	must[*pb.PutResponse](s)(s.kv.Put(s.ctx, again))
	s.put("b", "1")
	everything := &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Limit: 1}
	must[*pb.RangeResponse](s)(s.kv.Range(s.ctx, everything))
	stream := must[grpc.ServerStreamingClient[pb.RangeStreamResponse]](s)(s.kv.RangeStream(s.ctx, everything))
	drain(s, stream.Recv)
	del := &pb.DeleteRangeRequest{Key: []byte("b"), PrevKv: true}
	must[*pb.TxnResponse](s)(s.kv.Txn(s.ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestRange{RequestRange: everything}},
		{Request: &pb.RequestOp_RequestPut{RequestPut: put("c", "1")}},
		{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: del}},
		{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{}}},
	}}))
}

// drain reads a stream to its end.
func drain[T any](s *script, recv func() (T, error)) {
	s.t.Helper()
	for {
		if _, err := recv(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			s.t.Fatal(err)
		}
	}
}

// watches sees events with what was there before, an answer in parts, and watches that are
// canceled because of a compaction and for a reason.
func (s *script) watches() {
	stream := must[pb.Watch_WatchClient](s)(pb.NewWatchClient(s.node.conn).Watch(s.ctx))
	create := func(r *pb.WatchCreateRequest) {
		r.Key = []byte("w")
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
			s.t.Fatal(err)
		}
	}
	until := func(seen func(*pb.WatchResponse) bool) {
		for {
			if resp := must[*pb.WatchResponse](s)(stream.Recv()); seen(resp) {
				return
			}
		}
	}
	// An event with what was there before, the value and its successor are too large for one answer.
	create(&pb.WatchCreateRequest{WatchId: 7, PrevKv: true, Fragment: true})
	until(func(r *pb.WatchResponse) bool { return r.Created })
	large := strings.Repeat("x", 1<<20)
	s.put("w", large)
	s.put("w", large)
	must[*pb.DeleteRangeResponse](s)(s.kv.DeleteRange(s.ctx, &pb.DeleteRangeRequest{Key: []byte("w")}))
	until(func(r *pb.WatchResponse) bool {
		return len(r.Events) > 0 && r.Events[len(r.Events)-1].PrevKv != nil && r.Events[len(r.Events)-1].Type != 0
	})
	create(&pb.WatchCreateRequest{WatchId: 8, StartRevision: 1, PrevKv: true, Fragment: true}) // all of it at once
	until(func(r *pb.WatchResponse) bool { return r.Fragment })
	create(&pb.WatchCreateRequest{WatchId: 7})
	until(func(r *pb.WatchResponse) bool { return r.CancelReason != "" })
	now := must[*pb.RangeResponse](s)(s.kv.Range(s.ctx, &pb.RangeRequest{Key: []byte("w")})).Header.Revision
	must[*pb.CompactionResponse](s)(s.kv.Compact(s.ctx, &pb.CompactionRequest{Revision: now}))
	create(&pb.WatchCreateRequest{StartRevision: 1})
	until(func(r *pb.WatchResponse) bool { return r.CompactRevision > 0 })
}

func (s *script) leases() {
	c := pb.NewLeaseClient(s.node.conn)
	must[*pb.LeaseGrantResponse](s)(c.LeaseGrant(s.ctx, &pb.LeaseGrantRequest{ID: 5, TTL: 600}))
	held := put("l", "1")
	held.Lease = 5
	must[*pb.PutResponse](s)(s.kv.Put(s.ctx, held))
	must[*pb.RangeResponse](s)(s.kv.Range(s.ctx, &pb.RangeRequest{Key: []byte("l")}))
	must[*pb.LeaseTimeToLiveResponse](s)(c.LeaseTimeToLive(s.ctx, &pb.LeaseTimeToLiveRequest{ID: 5, Keys: true}))
	must[*pb.LeaseLeasesResponse](s)(c.LeaseLeases(s.ctx, &pb.LeaseLeasesRequest{}))
	alive := must[pb.Lease_LeaseKeepAliveClient](s)(c.LeaseKeepAlive(s.ctx))
	if err := alive.Send(&pb.LeaseKeepAliveRequest{ID: 5}); err != nil {
		s.t.Fatal(err)
	}
	must[*pb.LeaseKeepAliveResponse](s)(alive.Recv())
	must[*pb.LeaseRevokeResponse](s)(c.LeaseRevoke(s.ctx, &pb.LeaseRevokeRequest{ID: 5}))
}

func (s *script) recipes() {
	must[*pb.LeaseGrantResponse](s)(pb.NewLeaseClient(s.node.conn).LeaseGrant(s.ctx, &pb.LeaseGrantRequest{ID: 6, TTL: 600}))
	lock := v3lockpb.NewLockClient(s.node.conn)
	held := must[*v3lockpb.LockResponse](s)(lock.Lock(s.ctx, &v3lockpb.LockRequest{Name: []byte("lock"), Lease: 6}))
	must[*v3lockpb.UnlockResponse](s)(lock.Unlock(s.ctx, &v3lockpb.UnlockRequest{Key: held.Key}))
	e := v3electionpb.NewElectionClient(s.node.conn)
	won := must[*v3electionpb.CampaignResponse](s)(e.Campaign(s.ctx, &v3electionpb.CampaignRequest{Name: []byte("e"), Lease: 6, Value: []byte("me")}))
	must[*v3electionpb.LeaderResponse](s)(e.Leader(s.ctx, &v3electionpb.LeaderRequest{Name: []byte("e")}))
	observe := must[v3electionpb.Election_ObserveClient](s)(e.Observe(s.ctx, &v3electionpb.LeaderRequest{Name: []byte("e")}))
	must[*v3electionpb.LeaderResponse](s)(observe.Recv())
	must[*v3electionpb.ProclaimResponse](s)(e.Proclaim(s.ctx, &v3electionpb.ProclaimRequest{Leader: won.Leader, Value: []byte("still")}))
	must[*v3electionpb.ResignResponse](s)(e.Resign(s.ctx, &v3electionpb.ResignRequest{Leader: won.Leader}))
}

func (s *script) maintenance() {
	c := pb.NewMaintenanceClient(s.node.conn)
	alarm := &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, Alarm: pb.AlarmType_NOSPACE, MemberID: 1}
	must[*pb.AlarmResponse](s)(c.Alarm(s.ctx, alarm))
	status := must[*pb.StatusResponse](s)(c.Status(s.ctx, &pb.StatusRequest{}))
	must[*pb.MoveLeaderResponse](s)(c.MoveLeader(s.ctx, &pb.MoveLeaderRequest{TargetID: status.Leader}))
	alarm.Action = pb.AlarmRequest_DEACTIVATE
	must[*pb.AlarmResponse](s)(c.Alarm(s.ctx, alarm))
	must[*pb.DefragmentResponse](s)(c.Defragment(s.ctx, &pb.DefragmentRequest{}))
	must[*pb.HashResponse](s)(c.Hash(s.ctx, &pb.HashRequest{}))
	must[*pb.HashKVResponse](s)(c.HashKV(s.ctx, &pb.HashKVRequest{}))
	for _, r := range []*pb.DowngradeRequest{
		{Action: pb.DowngradeRequest_VALIDATE, Version: "3.6.0"}, {Action: pb.DowngradeRequest_ENABLE, Version: "3.6.0"},
	} {
		must[*pb.DowngradeResponse](s)(c.Downgrade(s.ctx, r))
	}
	s.soon("the downgrade", func() error {
		if !must[*pb.StatusResponse](s)(c.Status(s.ctx, &pb.StatusRequest{})).DowngradeInfo.GetEnabled() {
			return errors.New("the status does not tell of it")
		}
		return nil
	})
	must[*pb.DowngradeResponse](s)(c.Downgrade(s.ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_CANCEL}))
	s.put("large", strings.Repeat("x", 1<<17)) // a backup of several messages tells how much is left
	drain(s, must[pb.Maintenance_SnapshotClient](s)(c.Snapshot(s.ctx, &pb.SnapshotRequest{})).Recv)
	must[*healthpb.HealthListResponse](s)(healthpb.NewHealthClient(s.node.conn).List(s.ctx, &healthpb.HealthListRequest{}))
}

// members takes a learner in, promotes it, and removes it.
func (s *script) members() {
	c := pb.NewClusterClient(s.node.conn)
	var peer string
	var joined *liveNode
	join := func(cfg *config.Config) {
		peer = cfg.ListenPeerURLs[0]
		added := must[*pb.MemberAddResponse](s)(c.MemberAdd(s.ctx, &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:1"}, IsLearner: true}))
		must[*pb.MemberUpdateResponse](s)(c.MemberUpdate(s.ctx, &pb.MemberUpdateRequest{ID: added.Member.ID, PeerURLs: []string{peer}}))
		cfg.Name, cfg.InitialClusterState = "second", "existing"
		cfg.InitialCluster = "default=" + s.node.peer + ",second=" + peer
	}
	joined = startNodeAs(s.t, join, s.all.dialOptions()...)
	status := must[*pb.StatusResponse](s)(pb.NewMaintenanceClient(joined.conn).Status(s.ctx, &pb.StatusRequest{}))
	id := status.Header.MemberId
	must[*pb.MemberListResponse](s)(c.MemberList(s.ctx, &pb.MemberListRequest{Linearizable: true}))
	s.soon("promoted", func() error {
		_, err := c.MemberPromote(s.ctx, &pb.MemberPromoteRequest{ID: id})
		return err
	})
	s.soon("removed", func() error {
		_, err := c.MemberRemove(s.ctx, &pb.MemberRemoveRequest{ID: id})
		return err
	})
}

// soon asks until it is granted: members catch up in their time.
func (s *script) soon(what string, ask func() error) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.t.Fatal(what, err)
		}
	}
}

func (s *script) auth() {
	c := pb.NewAuthClient(s.node.conn)
	for _, name := range []string{"root", "user"} {
		must[*pb.AuthUserAddResponse](s)(c.UserAdd(s.ctx, &pb.AuthUserAddRequest{Name: name, Password: "pw"}))
		must[*pb.AuthRoleAddResponse](s)(c.RoleAdd(s.ctx, &pb.AuthRoleAddRequest{Name: name}))
		must[*pb.AuthUserGrantRoleResponse](s)(c.UserGrantRole(s.ctx, &pb.AuthUserGrantRoleRequest{User: name, Role: name}))
	}
	perm := &authpb.Permission{PermType: authpb.Permission_READWRITE, Key: []byte("a"), RangeEnd: []byte("b")}
	must[*pb.AuthRoleGrantPermissionResponse](s)(c.RoleGrantPermission(s.ctx, &pb.AuthRoleGrantPermissionRequest{Name: "user", Perm: perm}))
	must[*pb.AuthRoleGetResponse](s)(c.RoleGet(s.ctx, &pb.AuthRoleGetRequest{Role: "user"}))
	must[*pb.AuthUserGetResponse](s)(c.UserGet(s.ctx, &pb.AuthUserGetRequest{Name: "user"}))
	must[*pb.AuthUserListResponse](s)(c.UserList(s.ctx, &pb.AuthUserListRequest{}))
	must[*pb.AuthRoleListResponse](s)(c.RoleList(s.ctx, &pb.AuthRoleListRequest{}))
	must[*pb.AuthUserChangePasswordResponse](s)(c.UserChangePassword(s.ctx, &pb.AuthUserChangePasswordRequest{Name: "user", Password: "other"}))
	must[*pb.AuthRoleRevokePermissionResponse](s)(c.RoleRevokePermission(s.ctx, &pb.AuthRoleRevokePermissionRequest{Role: "user", Key: perm.Key, RangeEnd: perm.RangeEnd}))
	must[*pb.AuthUserRevokeRoleResponse](s)(c.UserRevokeRole(s.ctx, &pb.AuthUserRevokeRoleRequest{Name: "user", Role: "user"}))
	must[*pb.AuthRoleDeleteResponse](s)(c.RoleDelete(s.ctx, &pb.AuthRoleDeleteRequest{Role: "user"}))
	must[*pb.AuthUserDeleteResponse](s)(c.UserDelete(s.ctx, &pb.AuthUserDeleteRequest{Name: "user"}))
	must[*pb.AuthEnableResponse](s)(c.AuthEnable(s.ctx, &pb.AuthEnableRequest{}))
	must[*pb.AuthStatusResponse](s)(c.AuthStatus(s.ctx, &pb.AuthStatusRequest{}))
	in := must[*pb.AuthenticateResponse](s)(c.Authenticate(s.ctx, &pb.AuthenticateRequest{Name: "root", Password: "pw"}))
	must[*pb.AuthDisableResponse](s)(c.AuthDisable(metadata.AppendToOutgoingContext(s.ctx, "token", in.Token), &pb.AuthDisableRequest{}))
}
