package node_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/pontoon-kv/pontoon/node/config"
)

// login returns a client of a user, at one node.
func (nd *testNode) login(t *testing.T, user string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{nd.addr}, Username: user, Password: user + "-pw", Logger: zap.NewNop(), Context: t.Context(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func cheapHashes(_ int, cfg *config.Config) { cfg.BcryptCost = 4 }

// enableAuth enables authentication with a user "reader" that may read [a, c) and
// write [b, c).
func enableAuth(t *testing.T, c *cluster) {
	t.Helper()
	cli := c.nodes[0].client(t)
	ctx := within(t, 20*time.Second)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := cli.AuthEnable(ctx)
	sameError(t, "enabling without root", err, rpctypes.ErrRootUserNotExist)
	must(cli.UserAdd(ctx, "root", "root-pw"))
	_, err = cli.UserAdd(ctx, "root", "again")
	sameError(t, "a user twice", err, rpctypes.ErrUserAlreadyExist)
	must(cli.RoleAdd(ctx, "root"))
	must(cli.UserGrantRole(ctx, "root", "root"))
	must(cli.UserAdd(ctx, "reader", "reader-pw"))
	must(cli.RoleAdd(ctx, "r"))
	must(cli.RoleGrantPermission(ctx, "r", "a", "c", clientv3.PermissionType(clientv3.PermRead)))
	must(cli.RoleGrantPermission(ctx, "r", "b", "c", clientv3.PermissionType(clientv3.PermReadWrite)))
	must(cli.UserGrantRole(ctx, "reader", "r"))
	must(cli.AuthEnable(ctx))
}

func sameError(t *testing.T, what string, got, want error) {
	t.Helper()
	if got == nil || rpctypes.ErrorDesc(got) != rpctypes.ErrorDesc(want) && !strings.HasSuffix(got.Error(), rpctypes.ErrorDesc(want)) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// What a user may do and may not, through every node, over ranges.
func TestAuth(t *testing.T) {
	c := newCluster(t, 3, cheapHashes)
	c.nodes[0].split("b")
	enableAuth(t, c)
	ctx := within(t, 60*time.Second)
	for i, nd := range c.nodes {
		root, user := nd.login(t, "root"), nd.login(t, "reader")
		if _, err := root.Put(ctx, "z", "secret"); err != nil {
			t.Fatal(err)
		}
		if _, err := user.Put(ctx, "b1", "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := user.Get(ctx, "a", clientv3.WithRange("c")); err != nil {
			t.Fatal(err)
		}
		_, err := user.Get(ctx, "a", clientv3.WithRange("c\x00"))
		sameError(t, "a span that is too wide", err, rpctypes.ErrPermissionDenied)
		_, err = user.Put(ctx, "a1", "x")
		sameError(t, "a put", err, rpctypes.ErrPermissionDenied)
		_, err = user.Delete(ctx, "a1", clientv3.WithRange("b2"))
		sameError(t, "a deletion", err, rpctypes.ErrPermissionDenied)
		_, err = user.Txn(ctx).If(clientv3.Compare(clientv3.Version("b1"), ">", 0)).Then(clientv3.OpGet("b1")).Else(clientv3.OpGet("z")).Commit()
		sameError(t, "a branch not taken", err, rpctypes.ErrPermissionDenied)
		_, err = user.Txn(ctx).If(clientv3.Compare(clientv3.Value("z"), "=", "secret")).Then(clientv3.OpGet("b1")).Commit()
		sameError(t, "a compare", err, rpctypes.ErrPermissionDenied)
		_, err = user.Txn(ctx).Then(clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpPut("z", "")}, nil)).Commit()
		sameError(t, "a nested put", err, rpctypes.ErrPermissionDenied)
		_, err = user.Compact(ctx, 2)
		sameError(t, "a compaction", err, rpctypes.ErrPermissionDenied)
		_, err = user.UserAdd(ctx, fmt.Sprint("u", i), "pw")
		sameError(t, "a user", err, rpctypes.ErrPermissionDenied)
		lease, err := root.Grant(ctx, 60)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := root.Put(ctx, "z", "leased", clientv3.WithLease(lease.ID)); err != nil {
			t.Fatal(err)
		}
		_, err = user.Revoke(ctx, lease.ID)
		sameError(t, "a lease of another's key", err, rpctypes.ErrPermissionDenied)
		_, err = user.Put(ctx, "b1", "x", clientv3.WithLease(lease.ID))
		sameError(t, "a put with such a lease", err, rpctypes.ErrPermissionDenied)
		_, err = user.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
		sameError(t, "the keys of such a lease", err, rpctypes.ErrPermissionDenied)
		if ttl, err := user.TimeToLive(ctx, lease.ID); err != nil || ttl.GrantedTTL != 60 {
			t.Fatalf("the time of such a lease: %+v, %v", ttl, err)
		}
		for resp := range user.Watch(ctx, "a", clientv3.WithRange("d")) {
			sameError(t, "a watch", resp.Err(), rpctypes.ErrPermissionDenied)
		}
		watch := user.Watch(ctx, "b1", clientv3.WithCreatedNotify())
		if resp := <-watch; resp.Err() != nil || !resp.Created {
			t.Fatalf("%+v", resp)
		}
		if _, err := user.UserGet(ctx, "reader"); err != nil {
			t.Fatal(err)
		}
		if _, err := user.RoleGet(ctx, "r"); err != nil {
			t.Fatal(err)
		}
		nobody := pb.NewKVClient(nd.conn)
		_, err = nobody.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
		sameError(t, "nobody", err, rpctypes.ErrGRPCUserEmpty)
		_, err = pb.NewLeaseClient(nd.conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 60})
		sameError(t, "nobody's lease", err, rpctypes.ErrGRPCUserEmpty)
		_, err = pb.NewLeaseClient(nd.conn).LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: int64(lease.ID)})
		sameError(t, "nobody asks for a lease", err, rpctypes.ErrGRPCUserEmpty)
		for _, linearizable := range []bool{false, true} {
			_, err = pb.NewClusterClient(nd.conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: linearizable})
			sameError(t, "nobody lists members", err, rpctypes.ErrGRPCUserEmpty)
			if _, err = pb.NewClusterClient(user.ActiveConnection()).MemberList(ctx, &pb.MemberListRequest{Linearizable: linearizable}); err != nil {
				t.Fatal(err)
			}
		}
		_, err = clientv3.New(clientv3.Config{Endpoints: []string{nd.addr}, Username: "reader", Password: "wrong", Logger: zap.NewNop()})
		sameError(t, "a wrong password", err, rpctypes.ErrAuthFailed)
		if st, err := pb.NewAuthClient(nd.conn).AuthStatus(ctx, &pb.AuthStatusRequest{}); err != nil || !st.Enabled || st.AuthRevision == 0 {
			t.Fatalf("%v, %v", st, err)
		}
	}
	// A restart finds the rules again before it serves.
	c.nodes[1].stop()
	c.nodes[1].start()
	c.nodes[1].waitReady()
	_, err := pb.NewKVClient(c.nodes[1].conn).Range(ctx, &pb.RangeRequest{Key: []byte("a"), Serializable: true})
	sameError(t, "nobody after a restart", err, rpctypes.ErrGRPCUserEmpty)
	if _, err := c.nodes[2].login(t, "root").AuthDisable(ctx); err != nil {
		t.Fatal(err)
	}
	for _, nd := range c.nodes {
		if _, err := pb.NewKVClient(nd.conn).Put(ctx, &pb.PutRequest{Key: []byte("q")}); err != nil {
			t.Fatal(err)
		}
	}
}

// P9: once a permission is revoked through one node, no request that is sent
// later through another is honoured.
func TestRevokedPermissionIsNotHonoured_P9(t *testing.T) {
	c := newCluster(t, 3, cheapHashes)
	enableAuth(t, c)
	ctx := within(t, 60*time.Second)
	root := c.nodes[0].login(t, "root")
	users := make([]*clientv3.Client, len(c.nodes))
	for i, nd := range c.nodes {
		users[i] = nd.login(t, "reader")
	}
	for range 10 {
		if _, err := root.RoleRevokePermission(ctx, "r", "b", "c"); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i, u := range users {
			wg.Go(func() {
				if _, err := u.Put(ctx, "b1", "x"); err == nil {
					t.Errorf("node %d honoured a revoked permission to write", i+1)
				}
			})
		}
		wg.Wait()
		if _, err := root.RoleGrantPermission(ctx, "r", "b", "c", clientv3.PermissionType(clientv3.PermReadWrite)); err != nil {
			t.Fatal(err)
		}
		for _, u := range users {
			if _, err := u.Put(ctx, "b1", "x"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := root.UserRevokeRole(ctx, "reader", "r"); err != nil {
			t.Fatal(err)
		}
		for i, u := range users {
			if _, err := u.Get(ctx, "b1"); err == nil {
				t.Errorf("node %d honoured a revoked permission to read", i+1)
			}
		}
		if _, err := root.UserGrantRole(ctx, "reader", "r"); err != nil {
			t.Fatal(err)
		}
	}
}
