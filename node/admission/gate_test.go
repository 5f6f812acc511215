package admission

import (
	"context"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
)

func conn(port int) net.Addr { return &net.TCPAddr{Port: port} }

// Whatever comes and goes, the limits hold, places are given back, and a node
// that is not half full refuses nothing small.
func TestLimitsHold(t *testing.T) {
	type taken struct {
		from  net.Addr
		bytes int64
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	g := New(Options{Requests: 40, Bytes: 4000})
	conns := []net.Addr{conn(1), conn(2), conn(3), nil}
	var under []taken
	refused := map[string]int{}
	for step := range 20000 {
		if len(under) > 0 && rnd.IntN(100) < 45 {
			i := rnd.IntN(len(under))
			g.leave(under[i].from, under[i].bytes, time.Millisecond)
			under = append(under[:i], under[i+1:]...)
		} else {
			from, bytes := conns[rnd.IntN(len(conns))], int64(rnd.IntN(300))
			before := g.taken
			switch reason := g.enter(from, bytes, time.Minute); {
			case reason == "":
				under = append(under, taken{from, bytes})
			case before.requests < 10 && before.bytes+bytes <= 1000:
				t.Fatalf("step %d: refused with %+v under way", step, before)
			default:
				refused[reason]++
			}
		}
		var sum load
		of := map[net.Addr]load{}
		for _, u := range under {
			sum.add(1, u.bytes)
			l := of[u.from]
			l.add(1, u.bytes)
			of[u.from] = l
		}
		if sum != g.taken || sum.requests > 40 || sum.bytes > 4000 {
			t.Fatalf("step %d: %+v under way, %+v counted", step, sum, g.taken)
		}
		if len(of) != len(g.conns) {
			t.Fatalf("step %d: %d connections are remembered of %d", step, len(g.conns), len(of))
		}
	}
	if refused[reasonNode] == 0 || refused[reasonConnection] == 0 {
		t.Errorf("refused: %v", refused)
	}
}

// One client that sends all it can leaves room for the others.
func TestOneConnectionLeavesRoom(t *testing.T) {
	g := New(Options{Requests: 100, Bytes: 1 << 20})
	greedy := conn(1)
	for range 1000 {
		g.enter(greedy, 1, time.Minute)
	}
	if got := g.taken.requests; got != 50 {
		t.Errorf("one connection holds %d places of 100", got)
	}
	for i := range 20 {
		if reason := g.enter(conn(10+i), 1, time.Minute); reason != "" {
			t.Fatalf("another connection was refused: %s", reason)
		}
	}
}

// A request as large as all of the node's bytes is served, alone.
func TestOneOfAnySize(t *testing.T) {
	g := New(Options{Requests: 100, Bytes: 100})
	large := conn(1)
	if reason := g.enter(large, 1000, time.Minute); reason != "" {
		t.Fatalf("refused: %s", reason)
	}
	if g.enter(conn(2), 1, time.Minute) == "" {
		t.Error("another one beside it")
	}
	g.leave(large, 1000, time.Millisecond)
	if reason := g.enter(conn(2), 1, time.Minute); reason != "" {
		t.Errorf("after it: %s", reason)
	}
}

// What keeps the cluster alive passes a full node; what is refused was neither
// read nor handled.
func TestOnlyRequestsAreRefused(t *testing.T) {
	g := New(Options{Requests: 1, Bytes: 1 << 20})
	a := conn(1)
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: a})
	call := func(method string, req any, handle grpc.UnaryHandler) error {
		_, err := g.unary(ctx, req, &grpc.UnaryServerInfo{FullMethod: method}, handle)
		return err
	}
	tapped := func(method string) error {
		_, err := g.tap(ctx, &tap.Info{FullMethodName: method})
		return err
	}
	nothing := func(context.Context, any) (any, error) { return nil, nil }
	err := call(pb.KV_Put_FullMethodName, &pb.PutRequest{}, func(context.Context, any) (any, error) {
		if err := tapped(pb.KV_Txn_FullMethodName); err != rpctypes.ErrGRPCRequestTooManyRequests {
			t.Errorf("a txn beside the only place: %v", err)
		}
		err := call(pb.KV_Range_FullMethodName, &pb.RangeRequest{}, func(context.Context, any) (any, error) {
			t.Error("what was refused was handled")
			return nil, nil
		})
		if err != rpctypes.ErrGRPCRequestTooManyRequests {
			t.Errorf("a range beside the only place: %v", err)
		}
		for _, method := range []string{pb.Lease_LeaseKeepAlive_FullMethodName, pb.Maintenance_Status_FullMethodName, "/grpc.health.v1.Health/Check"} {
			if err := tapped(method); err != nil {
				t.Errorf("%s: %v", method, err)
			}
			if err := call(method, &pb.StatusRequest{}, nothing); err != nil {
				t.Errorf("%s: %v", method, err)
			}
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tapped(pb.KV_Txn_FullMethodName); err != nil {
		t.Errorf("after it: %v", err)
	}
	if err := call(pb.KV_Range_FullMethodName, &pb.RangeRequest{}, nothing); err != nil {
		t.Errorf("after it: %v", err)
	}
}
