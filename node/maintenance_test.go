package node_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func noise(t *testing.T, n int) string {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func isError(err, want error) bool {
	a, b := status.Convert(err), status.Convert(want)
	return a.Code() == b.Code() && a.Message() == b.Message()
}

// isClientError compares what the official client made of an error.
func isClientError(err, want error) bool { return err == rpctypes.Error(want) }

// As etcd's TestAlarm: a small quota is hit by values of a page, refuses at
// every gateway, and compaction with Defragment makes room again.
func TestQuota(t *testing.T) {
	t.Parallel()
	const quota = 53248
	c := newCluster(t, 3, func(_ int, cfg *config.Config) { cfg.QuotaBackendBytes = quota })
	ctx := within(t, 60*time.Second)
	clients := make([]*clientv3.Client, 3)
	for i, nd := range c.nodes {
		clients[i] = nd.client(t)
	}
	if _, err := clients[0].Put(ctx, "first", "small"); err != nil {
		t.Fatal(err)
	}
	var refused error
	page := noise(t, 4096)
	for n := 0; refused == nil; n++ {
		if _, refused = clients[n%3].Put(ctx, "second", page); n > 2*quota/4096 {
			t.Fatal("the quota is not noticed")
		}
	}
	if !isClientError(refused, rpctypes.ErrGRPCNoSpace) {
		t.Fatal(refused)
	}
	list, err := clients[0].AlarmList(ctx)
	if err != nil || len(list.Alarms) == 0 || list.Header == nil || list.Alarms[0].Alarm != pb.AlarmType_NOSPACE {
		t.Fatal(list, err)
	}
	for i, cl := range clients {
		if _, err := cl.Put(ctx, "third", "small"); !isClientError(err, rpctypes.ErrGRPCNoSpace) {
			t.Errorf("node %d: %v", i, err)
		}
		if _, err := cl.Grant(ctx, 60); !isClientError(err, rpctypes.ErrGRPCNoSpace) {
			t.Errorf("node %d: %v", i, err)
		}
		if _, err := cl.Delete(ctx, fmt.Sprint("none", i)); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
		if _, err := cl.Get(ctx, "first"); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
		st, err := cl.Status(ctx, c.nodes[i].addr)
		if err != nil || st.DbSizeQuota != quota || st.DbSize < quota-8192 || len(st.Errors) == 0 || !strings.HasSuffix(st.Errors[0], "alarm:NOSPACE") {
			t.Errorf("node %d: %v, %v", i, st, err)
		}
		if n := total(c.nodes[i].scrape()["etcd_debugging_server_alarms"], "alarm_type=NOSPACE"); n < 1 {
			t.Errorf("node %d shows no alarm among its metrics", i)
		}
	}
	st, err := clients[1].Status(ctx, c.nodes[1].addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clients[1].Compact(ctx, st.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	for i, cl := range clients {
		full, err := cl.Status(ctx, c.nodes[i].addr)
		if err != nil {
			t.Fatal(err)
		}
		before := full.DbSize
		resp, err := c.nodes[i].maintenance().Defragment(ctx, &pb.DefragmentRequest{})
		if err != nil || resp.Header != nil {
			t.Fatal(resp, err)
		}
		if st, err := cl.Status(ctx, c.nodes[i].addr); err != nil || st.DbSize >= before/2 || st.DbSizeInUse > st.DbSize {
			t.Errorf("node %d has %d (%d in use) of %d bytes after Defragment: %v", i, st.DbSize, st.DbSizeInUse, before, err)
		}
	}
	off, err := clients[2].AlarmDisarm(ctx, &clientv3.AlarmMember{}) // all of them
	if err != nil || len(off.Alarms) == 0 {
		t.Fatal(off, err)
	}
	for i, cl := range clients {
		if _, err := cl.Put(ctx, "fourth", "small"); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
}

// P9, I2 of node/alarm: once an alarm was raised no write gets past it at any
// gateway, and once it was cleared every write does, though nodes only hear of
// both by the sequencer's replies.
func TestAlarmsAtEveryGateway_P9(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	c.nodes[0].split("m")
	ctx := within(t, 60*time.Second)
	set := func(nd *testNode, action pb.AlarmRequest_AlarmAction, kind pb.AlarmType) {
		t.Helper()
		resp, err := nd.maintenance().Alarm(ctx, &pb.AlarmRequest{Action: action, MemberID: 7, Alarm: kind})
		if err != nil || len(resp.Alarms) != 1 || resp.Header == nil {
			t.Fatal(resp, err)
		}
	}
	try := func(nd *testNode, key string) error {
		_, err := nd.kv().Put(ctx, &pb.PutRequest{Key: []byte(key)})
		return err
	}
	for i := range 30 {
		teller := c.nodes[i%3]
		kind, want := pb.AlarmType_NOSPACE, rpctypes.ErrGRPCNoSpace
		if i%2 == 1 {
			kind, want = pb.AlarmType_CORRUPT, rpctypes.ErrGRPCCorrupt
		}
		set(teller, pb.AlarmRequest_ACTIVATE, kind)
		for n, nd := range c.nodes {
			for _, key := range []string{"a", "z"} {
				if err := try(nd, key); !isError(err, want) {
					t.Fatalf("round %d, node %d, %s: %v", i, n, key, err)
				}
			}
			txn := &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a"), putOp("z")}}
			if _, err := nd.kv().Txn(ctx, txn); !isError(err, want) {
				t.Fatalf("round %d, node %d: %v", i, n, err)
			}
		}
		set(teller, pb.AlarmRequest_DEACTIVATE, kind)
		for n, nd := range c.nodes {
			if err := try(nd, "a"); err != nil {
				t.Fatalf("round %d, node %d: %v", i, n, err)
			}
		}
	}
	again, err := c.nodes[0].maintenance().Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: 7, Alarm: pb.AlarmType_NOSPACE})
	if err != nil || len(again.Alarms) != 0 || again.Header == nil {
		t.Error(again, err)
	}
}

func putOp(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}}
}

// What goes on and what does not while the cluster is corrupt, and what shows
// it. The alarm outlives a restart.
func TestCorruptAlarm(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd, ctx := c.nodes[0], within(t, 60*time.Second)
	rev := nd.put("a", "1")
	lease, err := nd.lease().LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 600})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nd.maintenance().Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 7, Alarm: pb.AlarmType_CORRUPT}); err != nil {
		t.Fatal(err)
	}
	nd.stop()
	nd.start()
	wait(t, "the node to serve", func() bool { // it is not ready: its data is not to be trusted
		code, _ := nd.get("/readyz/linearizable_read")
		return code == http.StatusOK
	})
	for name, err := range map[string]error{
		"put":     errOf(nd.kv().Put(ctx, &pb.PutRequest{Key: []byte("a")})),
		"delete":  errOf(nd.kv().DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("a")})),
		"txn":     errOf(nd.kv().Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a")}}}}})),
		"compact": errOf(nd.kv().Compact(ctx, &pb.CompactionRequest{Revision: rev})),
		"grant":   errOf(nd.lease().LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 60})),
		"revoke":  errOf(nd.lease().LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: lease.ID})),
	} {
		if !isError(err, rpctypes.ErrGRPCCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nd.mustHave("a", "1", rev)
	if ttl, err := nd.lease().LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: lease.ID}); err != nil || ttl.TTL <= 0 {
		t.Error(ttl, err)
	}
	if st, err := nd.maintenance().Status(ctx, &pb.StatusRequest{}); err != nil || len(st.Errors) != 1 || st.Errors[0] != "memberID:7 alarm:CORRUPT" {
		t.Error(st, err)
	}
	for path, want := range map[string]string{
		"/health":                 `{"health":"false","reason":"ALARM CORRUPT"}`,
		"/health?exclude=NOSPACE": `{"health":"false","reason":"ALARM CORRUPT"}`,
		"/health?exclude=CORRUPT": `{"health":"true","reason":""}`,
	} {
		code, body := nd.get(path)
		if strings.TrimSpace(body) != want || (code == http.StatusOK) != strings.Contains(want, "true") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, body := nd.get("/readyz/data_corruption"); code != http.StatusServiceUnavailable || !strings.Contains(body, "[-]data_corruption failed: alarm activated: CORRUPT") {
		t.Error(code, body)
	}
}

// MoveLeader moves the root range, which Status calls the leader, and refuses
// what etcd refuses.
func TestMoveLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, calm) // an election would burn numbers
	ctx := within(t, 60*time.Second)
	byID := map[uint64]*testNode{}
	var leader uint64
	for _, nd := range c.nodes {
		wait(t, "the leader to be known", func() bool {
			st, err := nd.maintenance().Status(ctx, &pb.StatusRequest{})
			if err != nil {
				t.Fatal(err)
			}
			byID[st.Header.MemberId], leader = nd, st.Leader
			return leader != 0
		})
	}
	var follower uint64
	for id := range byID {
		if id != leader {
			follower = id
		}
	}
	move := func(nd *testNode, to uint64) (*pb.MoveLeaderResponse, error) {
		return nd.maintenance().MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: to})
	}
	if _, err := move(byID[follower], leader); !isError(err, rpctypes.ErrGRPCNotLeader) {
		t.Error(err)
	}
	if _, err := move(byID[leader], 99); !isError(err, rpctypes.ErrGRPCBadLeaderTransferee) {
		t.Error(err)
	}
	rev := byID[leader].put("a", "1")
	resp, err := move(byID[leader], follower)
	if err != nil || resp.Header != nil {
		t.Fatal(resp, err)
	}
	for _, nd := range c.nodes {
		wait(t, "the new leader to be known", func() bool {
			st, err := nd.maintenance().Status(ctx, &pb.StatusRequest{})
			return err == nil && st.Leader == follower
		})
	}
	if next := byID[leader].put("a", "2"); next != rev+1 {
		t.Errorf("revision %d follows %d", next, rev)
	}
	if _, err := move(byID[follower], follower); err != nil {
		t.Error("to itself:", err)
	}
}

func TestDowngradeAnswers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	ctx := within(t, 60*time.Second)
	call := func(n int, action pb.DowngradeRequest_DowngradeAction, target string) error {
		resp, err := c.nodes[n].maintenance().Downgrade(ctx, &pb.DowngradeRequest{Action: action, Version: target})
		if err == nil && (resp.Version != "3.7" || resp.Header.GetMemberId() == 0) {
			t.Error(resp)
		}
		return err
	}
	const validate, enable, cancel = pb.DowngradeRequest_VALIDATE, pb.DowngradeRequest_ENABLE, pb.DowngradeRequest_CANCEL
	for i, tc := range []struct {
		action pb.DowngradeRequest_DowngradeAction
		target string
		want   error
	}{
		{cancel, "", nil},
		{validate, "3.6.0", nil},
		{validate, "3.5.0", rpctypes.ErrGRPCInvalidDowngradeTargetVersion},
		{validate, "3.8", rpctypes.ErrGRPCInvalidDowngradeTargetVersion},
		{validate, "bad", rpctypes.ErrGRPCWrongDowngradeVersionFormat},
		{validate, "", rpctypes.ErrGRPCWrongDowngradeVersionFormat},
		{enable, "3.7.0", rpctypes.ErrGRPCInvalidDowngradeTargetVersion},
		{enable, "3.6", nil},
		{enable, "3.6.0", rpctypes.ErrGRPCDowngradeInProcess},
		{validate, "3.6.0", rpctypes.ErrGRPCDowngradeInProcess},
		{9, "", status.Error(codes.Unknown, "etcdserver: unknown method")},
	} {
		if err := call(i%3, tc.action, tc.target); !isError(err, tc.want) {
			t.Errorf("%d: %v %q: %v", i, tc.action, tc.target, err)
		}
	}
	for _, nd := range c.nodes {
		wait(t, "the downgrade to be shown", func() bool {
			st, err := nd.maintenance().Status(ctx, &pb.StatusRequest{})
			return err == nil && st.DowngradeInfo.GetEnabled() && st.DowngradeInfo.TargetVersion == "3.6.0"
		})
	}
	for range 2 {
		if err := call(2, cancel, ""); err != nil {
			t.Error(err)
		}
	}
}

// A watch that requires a leader ends some election timeouts after the quorum
// is gone; one that does not stays; new requests that require one are refused.
func TestRequireLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	left := c.nodes[2]
	cl := left.client(t)
	ctx, cancel := context.WithCancel(within(t, 60*time.Second))
	defer cancel()
	led := cl.Watch(clientv3.WithRequireLeader(ctx), "a")
	plain := cl.Watch(ctx, "a", clientv3.WithCreatedNotify())
	if r := <-plain; !r.Created {
		t.Fatal(r)
	}
	left.put("a", "1")
	for _, w := range []clientv3.WatchChan{led, plain} {
		if r := <-w; len(r.Events) != 1 || r.Err() != nil {
			t.Fatal(r)
		}
	}
	c.nodes[0].kill()
	c.nodes[1].kill()
	select {
	case r := <-led:
		if r.Err() != rpctypes.ErrNoLeader {
			t.Fatal(r, r.Err())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the watch does not end")
	}
	if _, err := cl.Get(clientv3.WithRequireLeader(within(t, 10*time.Second)), "a", clientv3.WithSerializable()); err != rpctypes.ErrNoLeader {
		t.Error(err)
	}
	if _, err := cl.Get(within(t, 10*time.Second), "a", clientv3.WithSerializable()); err != nil {
		t.Error(err)
	}
	st, err := cl.Status(ctx, left.addr)
	if err != nil || st.Leader != 0 || len(st.Errors) != 1 || st.Errors[0] != "etcdserver: no leader" {
		t.Error(st, err)
	}
	select {
	case r := <-plain:
		t.Error("the other watch ended:", r, r.Err())
	default:
	}
}

// The history is cut by itself, once for the cluster.
func TestAutoCompaction(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(_ int, cfg *config.Config) { cfg.AutoCompactionRetention = "1s" })
	first := c.nodes[0].put("a", "1")
	wait(t, "the first revision to be compacted", func() bool {
		c.nodes[1].put("a", "2")
		_, err := c.nodes[1].kv().Range(within(t, 10*time.Second), &pb.RangeRequest{Key: []byte("a"), Revision: first})
		return isError(err, rpctypes.ErrGRPCCompacted)
	})
}

// Point 45: equal at a revision on all nodes, over compaction and Defragment.
func TestHashKVOverDefragment(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	ctx := within(t, 60*time.Second)
	c.nodes[0].split("k5")
	var rev int64
	for i := range 100 {
		rev = c.nodes[i%3].put(fmt.Sprintf("k%d", i%10), fmt.Sprint(i))
	}
	floor := rev - 50
	if _, err := c.nodes[0].kv().Compact(ctx, &pb.CompactionRequest{Revision: floor, Physical: true}); err != nil {
		t.Fatal(err)
	}
	want := map[int64]uint32{}
	for _, defragmented := range []bool{false, true} {
		for n, nd := range c.nodes {
			if defragmented {
				if _, err := nd.maintenance().Defragment(ctx, &pb.DefragmentRequest{}); err != nil {
					t.Fatal(err)
				}
			}
			for at := floor; at <= rev; at += 10 {
				h, err := nd.maintenance().HashKV(ctx, &pb.HashKVRequest{Revision: at})
				if err != nil || h.HashRevision != at || h.CompactRevision != floor || h.Header.GetRevision() < rev {
					t.Fatal(h, err)
				}
				if have, ok := want[at]; ok && have != h.Hash {
					t.Errorf("node %d at %d: %d, before %d", n, at, h.Hash, have)
				}
				want[at] = h.Hash
			}
			if _, err := nd.maintenance().HashKV(ctx, &pb.HashKVRequest{Revision: floor - 1}); !isError(err, rpctypes.ErrGRPCCompacted) {
				t.Error(err)
			}
		}
	}
}

// What Status says is true of the node that is asked.
func TestStatusFields(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd, ctx := c.nodes[0], within(t, 60*time.Second)
	before, err := nd.maintenance().Status(ctx, &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	value := noise(t, 100_000)
	nd.put("a", value)
	after, err := nd.maintenance().Status(ctx, &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.DbSize - before.DbSize; grown < int64(len(value)) || grown > int64(2*len(value)) {
		t.Errorf("%d bytes more for a value of %d", grown, len(value))
	}
	disk := nd.disk(t)
	if q := after.DbSizeQuota; q < disk.DiskFreeBytes/2 || q > disk.DiskTotalBytes {
		t.Errorf("quota %d on a disk with %d of %d bytes free", q, disk.DiskFreeBytes, disk.DiskTotalBytes)
	}
	if after.IsLearner || after.Leader != after.Header.MemberId || after.RaftIndex == 0 || after.RaftAppliedIndex > after.RaftIndex ||
		after.StorageVersion != "3.7.0" || after.DowngradeInfo.GetEnabled() || len(after.Errors) > 0 || after.Header.Revision != before.Header.Revision+1 {
		t.Error(after)
	}
}

func (nd *testNode) disk(t *testing.T) *pontoonpb.NodeStatus {
	t.Helper()
	resp, err := nd.admin().NodeList(within(t, 10*time.Second), &pontoonpb.NodeListRequest{})
	if err != nil || len(resp.Nodes) != 1 {
		t.Fatal(resp, err)
	}
	return resp.Nodes[0]
}

// A replica that holds something else than the others is found, and the cluster
// stops changing; the alarm names its node.
func TestCorruptReplica(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(_ int, cfg *config.Config) { cfg.CorruptCheckTime = 200 * time.Millisecond })
	ctx := within(t, 60*time.Second)
	for i := range 20 {
		c.nodes[0].put(fmt.Sprint("k", i), "right")
	}
	bad := c.nodes[2]
	st, err := bad.maintenance().Status(ctx, &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	bad.stop()
	e, err := storage.Open(storage.Options{Dir: filepath.Join(bad.cfg.DataDir, "engine")})
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	state := e.Log(proto.UserRange).Applied()
	_, err = b.Apply(proto.UserRange, &state, []*pontoonpb.Effect{{
		Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: keys.User([]byte("k7")), Rev: 3, CreateRevision: 3, Version: 1, Value: []byte("wrong"),
	}})
	if err == nil {
		err = b.Commit(true)
	}
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	bad.start()
	wait(t, "the difference to be noticed", func() bool {
		list, err := c.nodes[0].maintenance().Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_GET, Alarm: pb.AlarmType_CORRUPT})
		if err != nil || len(list.Alarms) == 0 {
			return false
		}
		if len(list.Alarms) > 1 || list.Alarms[0].MemberID != st.Header.MemberId {
			t.Fatal(list)
		}
		return true
	})
	for _, nd := range c.nodes {
		if _, err := nd.kv().Put(ctx, &pb.PutRequest{Key: []byte("a")}); !isError(err, rpctypes.ErrGRPCCorrupt) {
			t.Error(err)
		}
	}
	shown, err := c.nodes[1].admin().RangeChecksum(ctx, &pontoonpb.RangeChecksumRequest{RangeId: uint64(proto.UserRange)})
	if err != nil || shown.Equal {
		t.Error(shown, err)
	}
}
