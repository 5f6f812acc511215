package node_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// TestServices walks through every service of a cluster of one node and of
// three, asking another node at every step, with the keys split before.
func TestServices(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("nodes=%d", n), func(t *testing.T) {
			t.Parallel()
			s := &services{cluster: newCluster(t, n, nil)}
			for _, step := range []struct {
				name string
				run  func(*testing.T)
			}{
				{"admin", s.admin},
				{"kv", s.kv},
				{"watch", s.watch},
				{"lease", s.lease},
				{"maintenance", s.maintenance},
				{"members", s.members},
				{"health and reflection", s.standard},
				{"http", s.http},
			} {
				if !t.Run(step.name, step.run) {
					return
				}
			}
		})
	}
}

type services struct {
	*cluster
	turn int
}

// any returns the nodes in turn.
func (s *services) any() *testNode {
	s.turn++
	return s.nodes[s.turn%len(s.nodes)]
}

func (s *services) admin(t *testing.T) {
	for _, key := range []string{"m", "f", "t"} {
		s.any().split(key)
	}
	for _, nd := range s.nodes {
		wait(t, "the ranges to be listed with a leader", func() bool {
			resp, err := nd.admin().RangeList(within(t, 5*time.Second), &pontoonpb.RangeListRequest{})
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range resp.Ranges {
				if r.LeaderNode == 0 || i > 0 && !bytes.Equal(r.Desc.Span.Start, resp.Ranges[i-1].Desc.Span.End) {
					return false
				}
			}
			return len(resp.Ranges) == 6 // meta, lease, and the user span in four
		})
	}
	if _, err := s.any().admin().RangeSplit(within(t, 5*time.Second), &pontoonpb.RangeSplitRequest{Key: []byte("m")}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("split at a boundary: %v", err)
	}
	shown, err := s.any().admin().RangeShow(within(t, 5*time.Second), &pontoonpb.RangeShowRequest{RangeId: 3})
	if err != nil || len(shown.Replicas) != len(s.nodes) {
		t.Errorf("range 3: %v, %v", shown, err)
	}
}

func (s *services) kv(t *testing.T) {
	ctx := within(t, 20*time.Second)
	first := s.any().put("a", "1")
	for i, key := range []string{"g", "n", "u"} { // a key in every range
		if rev := s.any().put(key, "1"); rev != first+int64(i)+1 {
			t.Errorf("put %s got revision %d, want %d", key, rev, first+int64(i)+1)
		}
	}
	txn, err := s.any().kv().Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte("u"), Target: pb.Compare_MOD, Result: pb.Compare_EQUAL, TargetUnion: &pb.Compare_ModRevision{ModRevision: first + 3}}},
		Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a"), Value: []byte("2")}}},
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("u"), Value: []byte("2")}}},
		},
	})
	if err != nil || !txn.Succeeded || txn.Header.Revision != first+4 {
		t.Fatalf("txn over ranges: %v, %v", txn, err)
	}
	for _, nd := range s.nodes {
		all, err := nd.kv().Range(ctx, &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z")})
		if err != nil || len(all.Kvs) != 4 || all.Header.Revision != first+4 {
			t.Fatalf("range over ranges: %v, %v", all, err)
		}
		if all.Kvs[0].ModRevision != first+4 || all.Kvs[3].ModRevision != first+4 {
			t.Errorf("the txn has two revisions: %v", all.Kvs)
		}
	}
	del, err := s.any().kv().DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("o")})
	if err != nil || del.Deleted != 3 || del.Header.Revision != first+5 {
		t.Fatalf("delete over ranges: %v, %v", del, err)
	}
	if _, err := s.any().kv().Compact(ctx, &pb.CompactionRequest{Revision: first + 1}); err != nil {
		t.Fatal(err)
	}
}

func (s *services) watch(t *testing.T) {
	ctx, cancel := context.WithCancel(within(t, 30*time.Second))
	defer cancel()
	stream, err := s.any().watch().Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	start := s.any().put("a", "before")
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: start,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if created, err := stream.Recv(); err != nil || !created.Created {
		t.Fatal(created, err)
	}
	want := start
	expect := func() {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.Events {
			if e.Kv.ModRevision != want || e.Type != mvccpb.PUT {
				t.Fatalf("event %v, want revision %d", e, want)
			}
			want++
		}
	}
	for _, key := range []string{"u", "b", "n", "g", "c"} {
		s.any().put(key, "now")
	}
	for want <= start+5 {
		expect()
	}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}); err != nil {
		t.Fatal(err)
	}
	if p, err := stream.Recv(); err != nil || p.WatchId != -1 || p.Header.Revision < start+5 {
		t.Fatalf("progress: %v, %v", p, err)
	}
}

func (s *services) lease(t *testing.T) {
	ctx := within(t, 30*time.Second)
	l, err := s.any().lease().LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 60, ID: 77})
	if err != nil || l.ID != 77 || l.TTL != 60 {
		t.Fatal(l, err)
	}
	for _, key := range []string{"a", "u"} {
		if _, err := s.any().kv().Put(ctx, &pb.PutRequest{Key: []byte(key), Lease: 77}); err != nil {
			t.Fatal(err)
		}
	}
	keep, err := s.any().lease().LeaseKeepAlive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := keep.Send(&pb.LeaseKeepAliveRequest{ID: 77}); err != nil {
		t.Fatal(err)
	}
	if k, err := keep.Recv(); err != nil || k.TTL != 60 {
		t.Fatal(k, err)
	}
	ttl, err := s.any().lease().LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 77, Keys: true})
	if err != nil || ttl.GrantedTTL != 60 || len(ttl.Keys) != 2 {
		t.Fatal(ttl, err)
	}
	if all, err := s.any().lease().LeaseLeases(ctx, &pb.LeaseLeasesRequest{}); err != nil || len(all.Leases) != 1 {
		t.Fatal(all, err)
	}
	if _, err := s.any().lease().LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 77}); err != nil {
		t.Fatal(err)
	}
	left, err := s.any().kv().Range(ctx, &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z")})
	if err != nil || len(left.Kvs) != 4 { // b, c, g, n
		t.Fatal(left, err)
	}
}

// P43: every endpoint says the same hash at the same revision.
func (s *services) maintenance(t *testing.T) {
	ctx := within(t, 30*time.Second)
	rev := s.any().put("z", "1")
	var hash uint32
	for i, nd := range s.nodes {
		st, err := nd.maintenance().Status(ctx, &pb.StatusRequest{})
		if err != nil || st.Leader == 0 || st.RaftTerm == 0 || st.DbSize == 0 || !strings.HasPrefix(st.Version, "3.7.") || len(st.Errors) > 0 {
			t.Errorf("status: %v, %v", st, err)
		}
		h, err := nd.maintenance().HashKV(ctx, &pb.HashKVRequest{Revision: rev})
		if err != nil || h.HashRevision != rev || i > 0 && h.Hash != hash {
			t.Errorf("hash of node %d: %v, %v; the first said %d", i, h, err, hash)
		}
		hash = h.GetHash()
		if _, err := nd.maintenance().Hash(ctx, &pb.HashRequest{}); err != nil {
			t.Error(err)
		}
	}
	s.any().put("z", "2")
	other, err := s.any().maintenance().HashKV(ctx, &pb.HashKVRequest{})
	if err != nil || other.Hash == hash {
		t.Errorf("a write does not show in the hash: %v, %v", other, err)
	}
	if _, err := s.any().maintenance().HashKV(ctx, &pb.HashKVRequest{Revision: rev + 1000}); status.Convert(err).Message() != "etcdserver: mvcc: required revision is a future revision" {
		t.Error(err)
	}
}

func (s *services) members(t *testing.T) {
	for _, nd := range s.nodes {
		wait(t, "all members to be known", func() bool {
			resp, err := pb.NewClusterClient(nd.conn).MemberList(within(t, 5*time.Second), &pb.MemberListRequest{Linearizable: true})
			if err != nil || len(resp.Members) != len(s.nodes) {
				t.Fatal(resp, err)
			}
			for _, m := range resp.Members {
				if m.Name == "" || len(m.PeerURLs) != 1 || len(m.ClientURLs) != 1 {
					return false // gossip is on its way
				}
			}
			return true
		})
	}
}

func (s *services) standard(t *testing.T) {
	h, err := healthpb.NewHealthClient(s.any().conn).Check(within(t, 5*time.Second), &healthpb.HealthCheckRequest{})
	if err != nil || h.Status != healthpb.HealthCheckResponse_SERVING {
		t.Error(h, err)
	}
	ctx, cancel := context.WithCancel(within(t, 5*time.Second))
	defer cancel()
	r, err := reflectionpb.NewServerReflectionClient(s.any().conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	list, err := r.Recv()
	if err != nil || !strings.Contains(list.String(), "etcdserverpb.KV") || !strings.Contains(list.String(), "Admin") {
		t.Error(list, err)
	}
}

func (s *services) http(t *testing.T) {
	for path, want := range map[string]string{
		"/version": `"etcdserver":"3.7.`, "/health": `"health":"true"`, "/livez": "ok", "/readyz?verbose": "[+]linearizable_read ok",
		"/metrics": "pontoon_build_info", "/debug/pprof/cmdline": "",
	} {
		if code, body := s.any().get(path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// P28: a serializable read through a gateway is not older than what a watch of
// that gateway delivered, although replicas may lag.
func TestSerializableAfterWatch(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	c.nodes[0].split("m")
	ctx := within(t, 30*time.Second)
	for _, nd := range c.nodes {
		stream, err := nd.watch().Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("a")}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil { // created
			t.Fatal(err)
		}
		for i := range 30 {
			c.nodes[i%3].put("a", fmt.Sprint(i))
			got, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			rev := got.Events[len(got.Events)-1].Kv.ModRevision
			for _, key := range []string{"a", "z"} { // also in a range that is idle
				resp, err := nd.kv().Range(ctx, &pb.RangeRequest{Key: []byte(key), Serializable: true})
				if err != nil || resp.Header.Revision < rev || key == "a" && resp.Kvs[0].ModRevision < rev {
					t.Fatalf("%v, %v after %d was delivered", resp, err, rev)
				}
			}
		}
	}
}
