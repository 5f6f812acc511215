package node_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/node/config"
)

// A node that has all it takes refuses with etcd's error and keeps leases and
// watches alive; what it answered is there, and it serves everybody afterwards.
func TestBusyNodeRefuses(t *testing.T) {
	t.Parallel()
	const places, clients, each = 4, 24, 60
	c := newCluster(t, 1, func(i int, cfg *config.Config) {
		calm(i, cfg)
		cfg.MaxRequestsInFlight = places
	})
	nd, ctx := c.nodes[0], within(t, 60*time.Second)
	lease := must(pb.NewLeaseClient(nd.conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 60}))(t)
	alive := must(pb.NewLeaseClient(nd.conn).LeaseKeepAlive(ctx))(t)
	watch := must(pb.NewWatchClient(nd.conn).Watch(ctx))(t)
	create := &pb.WatchCreateRequest{Key: []byte("busy/"), RangeEnd: []byte("busy0")}
	if err := watch.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		t.Fatal(err)
	}
	must(watch.Recv())(t)

	var refused, answered atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		conn := must(grpc.NewClient("passthrough:///"+nd.addr, insecureDial()))(t)
		defer conn.Close()
		wg.Go(func() {
			for j := range each {
				_, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "busy/%d/%d", i, j)})
				if err == nil {
					answered.Add(1)
					continue
				}
				same(t, "put", err, rpctypes.ErrGRPCRequestTooManyRequests)
				refused.Add(1)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for busy := true; busy; {
		if err := alive.Send(&pb.LeaseKeepAliveRequest{ID: lease.ID}); err != nil {
			t.Fatal(err)
		}
		if r, err := alive.Recv(); err != nil || r.TTL != 60 {
			t.Fatalf("keep-alive: %v %v", r, err)
		}
		select {
		case <-done:
			busy = false
		default:
		}
	}
	if refused.Load() == 0 || answered.Load() == 0 {
		t.Fatalf("%d puts were refused and %d answered", refused.Load(), answered.Load())
	}
	for seen := int64(0); seen < answered.Load(); {
		seen += int64(len(must(watch.Recv())(t).Events))
	}
	resp := must(nd.kv().Range(ctx, &pb.RangeRequest{Key: create.Key, RangeEnd: create.RangeEnd, CountOnly: true}))(t)
	if resp.Count != answered.Load() {
		t.Errorf("%d keys, %d puts were answered", resp.Count, answered.Load())
	}
}

// must ends the test at an error: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
