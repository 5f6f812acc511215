package node_test

import (
	"context"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// withToken is ctx of a call that carries a token.
func withToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
}

// A token made before authentication was disabled is not good again when it is
// enabled anew, at no gateway.
func TestDisablingAuthEndsTokens(t *testing.T) {
	c := newCluster(t, 3, cheapHashes)
	enableAuth(t, c)
	ctx := within(t, 60*time.Second)
	authentication := pb.NewAuthClient(c.nodes[0].conn)
	login, err := authentication.Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: "root-pw"})
	if err != nil {
		t.Fatal(err)
	}
	old := withToken(ctx, login.Token)
	if _, err := c.nodes[1].kv().Put(old, &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Fatal(err)
	}
	if _, err := authentication.AuthDisable(old, &pb.AuthDisableRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := authentication.AuthEnable(ctx, &pb.AuthEnableRequest{}); err != nil {
		t.Fatal(err)
	}
	for _, nd := range c.nodes {
		_, err := nd.kv().Put(old, &pb.PutRequest{Key: []byte("k")})
		sameError(t, "a token from before", err, rpctypes.ErrGRPCInvalidAuthToken)
		_, err = pb.NewAuthClient(nd.conn).AuthStatus(old, &pb.AuthStatusRequest{})
		sameError(t, "the status with such a token", err, rpctypes.ErrGRPCInvalidAuthToken)
	}
	if st, err := authentication.AuthStatus(ctx, &pb.AuthStatusRequest{}); err != nil || !st.Enabled {
		t.Error("the status without a token: ", st, err)
	}
	if _, err := c.nodes[2].login(t, "root").Put(ctx, "k", ""); err != nil {
		t.Error("a token from after: ", err)
	}
}

// A permission granted as it was raises the auth revision, as in etcd.
func TestRepeatedGrantRaisesAuthRevision(t *testing.T) {
	c := newCluster(t, 1, cheapHashes)
	enableAuth(t, c)
	ctx := within(t, 30*time.Second)
	root := c.nodes[0].login(t, "root")
	revision := func() uint64 {
		t.Helper()
		st, err := root.AuthStatus(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return st.AuthRevision
	}
	before := revision()
	if _, err := root.RoleGrantPermission(ctx, "r", "a", "c", clientv3.PermissionType(clientv3.PermRead)); err != nil {
		t.Fatal(err)
	}
	if after := revision(); after != before+1 {
		t.Errorf("auth revision %d, then %d", before, after)
	}
}

// What is wrong with a request is said before who sent it, as in etcd.
func TestWrongRequestIsToldFirst(t *testing.T) {
	c := newCluster(t, 1, cheapHashes)
	enableAuth(t, c)
	ctx := within(t, 30*time.Second) // nobody logged in
	kv, users := c.nodes[0].kv(), pb.NewAuthClient(c.nodes[0].conn)
	twice := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("z")}}}
	for what, tc := range map[string]struct{ got, want error }{
		"range":     {errOf(kv.Range(ctx, &pb.RangeRequest{})), rpctypes.ErrGRPCEmptyKey},
		"put":       {errOf(kv.Put(ctx, &pb.PutRequest{})), rpctypes.ErrGRPCEmptyKey},
		"delete":    {errOf(kv.DeleteRange(ctx, &pb.DeleteRangeRequest{})), rpctypes.ErrGRPCEmptyKey},
		"txn":       {errOf(kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{twice, twice}})), rpctypes.ErrGRPCDuplicateKey},
		"nobody":    {errOf(users.UserGet(ctx, &pb.AuthUserGetRequest{})), rpctypes.ErrGRPCUserNotFound},
		"somebody":  {errOf(users.UserGet(ctx, &pb.AuthUserGetRequest{Name: "reader"})), rpctypes.ErrGRPCUserEmpty},
		"too large": {errOf(kv.Put(ctx, &pb.PutRequest{Key: []byte("z"), Value: make([]byte, 1<<20+1<<19)})), rpctypes.ErrGRPCRequestTooLarge},
		"too large txn": {errOf(kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{
			RequestPut: &pb.PutRequest{Key: []byte("z"), Value: make([]byte, 1<<20+1<<19)}}}}})), rpctypes.ErrGRPCRequestTooLarge},
		"too large end": {errOf(kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("z"), RangeEnd: make([]byte, 1<<20+1<<19)})),
			rpctypes.ErrGRPCRequestTooLarge},
		"too large a question": {errOf(kv.Range(ctx, &pb.RangeRequest{Key: []byte("z"), RangeEnd: make([]byte, 1<<20+1<<19)})), rpctypes.ErrGRPCUserEmpty},
		"a good one":           {errOf(kv.Put(ctx, &pb.PutRequest{Key: []byte("z")})), rpctypes.ErrGRPCUserEmpty},
	} {
		sameError(t, what, tc.got, tc.want)
	}
}

// A watch that starts below every revision is told so first, too.
func TestWrongWatchIsToldFirst(t *testing.T) {
	c := newCluster(t, 1, cheapHashes)
	enableAuth(t, c)
	stream, err := c.nodes[0].watch().Watch(within(t, 30*time.Second)) // nobody logged in
	if err != nil {
		t.Fatal(err)
	}
	for start, want := range map[int64]string{
		-1: rpctypes.ErrorDesc(rpctypes.ErrGRPCCompacted), 0: rpctypes.ErrGRPCUserEmpty.Error(), 1: rpctypes.ErrGRPCUserEmpty.Error(),
	} {
		create := &pb.WatchCreateRequest{Key: []byte("z"), StartRevision: start}
		err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if !resp.Created || !resp.Canceled || resp.WatchId != -1 || resp.CancelReason != want {
			t.Errorf("from %d: %v", start, resp)
		}
	}
}

// P9: what was revoked a moment ago through one node binds at the others, also
// where nothing takes a number: a txn of two ranges whose branch is empty, a
// read that ends with an error, a new watch.
func TestRevokedIsNotHonouredElsewhere_P9(t *testing.T) {
	c := newCluster(t, 3, cheapHashes)
	c.nodes[0].split("m")
	enableAuth(t, c)
	ctx := within(t, 60*time.Second)
	root := c.nodes[0].login(t, "root")
	login, err := pb.NewAuthClient(c.nodes[1].conn).Authenticate(ctx, &pb.AuthenticateRequest{Name: "reader", Password: "reader-pw"})
	if err != nil {
		t.Fatal(err)
	}
	user := withToken(ctx, login.Token)
	put := func(key string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}}
	}
	empty := &pb.TxnRequest{Failure: []*pb.RequestOp{put("k"), put("z")}}
	future := &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("z"), Revision: 1 << 40}
	watch, err := c.nodes[1].watch().Watch(user)
	if err != nil {
		t.Fatal(err)
	}
	watched := func() string {
		t.Helper()
		create := &pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("zz")}
		if err := watch.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			t.Fatal(err)
		}
		resp, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return resp.CancelReason
	}
	allowed := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range 10 {
		if _, err := root.RoleGrantPermission(ctx, "r", "k", "zz", clientv3.PermissionType(clientv3.PermReadWrite)); err != nil {
			t.Fatal(err)
		}
		for _, nd := range c.nodes {
			allowed("an empty txn", errOf(nd.kv().Txn(user, empty)))
			sameError(t, "a read of the future", errOf(nd.kv().Range(user, future)), rpctypes.ErrGRPCFutureRev)
		}
		if why := watched(); why != "" {
			t.Error("a permitted watch: ", why)
		}
		if _, err := root.RoleRevokePermission(ctx, "r", "k", "zz"); err != nil {
			t.Fatal(err)
		}
		if why := watched(); why != rpctypes.ErrGRPCPermissionDenied.Error() {
			t.Error("a watch that is not permitted any more: ", why)
		}
		sameError(t, "an empty txn, revoked", errOf(c.nodes[2].kv().Txn(user, empty)), rpctypes.ErrGRPCPermissionDenied)
		if _, err := root.RoleGrantPermission(ctx, "r", "k", "zz", clientv3.PermissionType(clientv3.PermReadWrite)); err != nil {
			t.Fatal(err)
		}
		allowed("an empty txn, granted again", errOf(c.nodes[1].kv().Txn(user, empty)))
		if _, err := root.RoleRevokePermission(ctx, "r", "k", "zz"); err != nil {
			t.Fatal(err)
		}
		sameError(t, "a read of the future, revoked", errOf(c.nodes[1].kv().Range(user, future)), rpctypes.ErrGRPCPermissionDenied)
	}
}
