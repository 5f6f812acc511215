package answers

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pontoon-kv/pontoon/proto"
)

// lists answers ranges with so many values of a MiB as the limit says, which it
// gathers one by one, and everything else with one value.
type lists struct {
	pb.UnimplementedKVServer
	account *Account
}

var mib = bytes.Repeat([]byte{7}, 1<<20)

func (l *lists) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	resp := &pb.RangeResponse{}
	l.account.Restart(ctx)
	for range r.Limit {
		if err := l.account.Grow(ctx, 1<<20); err != nil {
			return nil, proto.ClientError(err)
		}
		resp.Kvs = append(resp.Kvs, &mvccpb.KeyValue{Key: []byte("k"), Value: mib})
	}
	return resp, nil
}

func (l *lists) Put(context.Context, *pb.PutRequest) (*pb.PutResponse, error) {
	return &pb.PutResponse{PrevKv: &mvccpb.KeyValue{Value: mib}}, nil
}

// plug is a connection that can be told to read no more.
type plug struct {
	net.Conn
	stopped atomic.Bool
	ended   chan struct{}
}

func (p *plug) Read(b []byte) (int, error) {
	if p.stopped.Load() {
		<-p.ended
	}
	return p.Conn.Read(b)
}

type world struct {
	account *Account
	lists   *lists
	client  pb.KVClient
	conn    *grpc.ClientConn
	plug    *plug
}

func serve(t *testing.T, most int64) *world {
	a := New(func() int64 { return most }, prometheus.NewRegistry())
	a.least = 0
	w := &world{account: a, lists: &lists{account: a}}
	lis := bufconn.Listen(64 << 10)
	srv := grpc.NewServer(append(a.Options(), grpc.ForceServerCodecV2(Codec()))...)
	pb.RegisterKVServer(srv, w.lists)
	go srv.Serve(lis)
	t.Cleanup(srv.Stop)
	var err error
	w.conn, err = grpc.NewClient("passthrough:///node", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := lis.DialContext(ctx)
			w.plug = &plug{Conn: c, ended: make(chan struct{})}
			return w.plug, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.conn.Close() })
	w.client = pb.NewKVClient(w.conn)
	return w
}

func list(n int64) *pb.RangeRequest {
	return &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("b"), Limit: n}
}

// becomes waits until so many bytes are held.
func (w *world) becomes(t *testing.T, what string, is func(int64) bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is(w.account.held.Load()) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: %d bytes are held", what, w.account.held.Load())
		}
	}
}

func none(n int64) bool { return n == 0 }

// I1, I2: a list beyond the bound is refused, one within it is not, and what was
// read, or refused, does not count.
func TestBound(t *testing.T) {
	w := serve(t, 10<<20)
	resp, err := w.client.Range(t.Context(), list(8))
	if err != nil || len(resp.Kvs) != 8 || !bytes.Equal(resp.Kvs[7].Value, mib) {
		t.Fatalf("%d keys, %v", len(resp.GetKvs()), err)
	}
	w.becomes(t, "after a list", none)
	if _, err := w.client.Range(t.Context(), list(11)); rpctypes.Error(err) != rpctypes.ErrTooManyRequests {
		t.Fatalf("a list beyond the bound: %v", err)
	}
	var m dto.Metric
	if err := w.account.refused.Write(&m); err != nil || m.Counter.GetValue() != 1 {
		t.Errorf("refusals are %v, %v", &m, err)
	}
	w.becomes(t, "after a refusal", none)
	if _, err := w.client.Range(t.Context(), list(10)); err != nil {
		t.Fatal(err)
	}
}

// I1, I2: what a client does not read counts until its connection is gone.
func TestClientThatDoesNotRead(t *testing.T) {
	w := serve(t, 10<<20)
	if _, err := w.client.Range(t.Context(), list(1)); err != nil { // the connection is up
		t.Fatal(err)
	}
	resume := sync.OnceFunc(func() { close(w.plug.ended) })
	t.Cleanup(resume)
	w.plug.stopped.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := w.client.Range(t.Context(), list(8))
		done <- err
	}()
	w.becomes(t, "unread", func(n int64) bool { return n == 8<<20 })
	select {
	case err := <-done:
		t.Fatalf("an answer that was not read arrived: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if n := w.account.held.Load(); n != 8<<20 {
		t.Fatalf("%d bytes are held of an answer that was not read", n)
	}
	h := w.account.hold()
	h.add(2 << 20)
	ctx := context.WithValue(t.Context(), key{}, h)
	if err := w.account.Grow(ctx, 1); err == nil {
		t.Error("an answer beside one that is not read exceeds the bound")
	}
	h.giveBack()
	w.plug.Conn.Close()
	resume()
	<-done
	w.becomes(t, "after its connection is gone", func(n int64) bool {
		runtime.GC()
		return n == 0
	})
}

// What is not gathered counts from when it is there, and is never refused.
func TestOtherAnswersCount(t *testing.T) {
	w := serve(t, 0)
	h := w.account.hold()
	h.add(1)
	defer h.giveBack()
	if resp, err := w.client.Put(t.Context(), &pb.PutRequest{}); err != nil || !bytes.Equal(resp.PrevKv.Value, mib) {
		t.Fatal(err)
	}
	if _, err := w.client.Range(t.Context(), list(1)); rpctypes.Error(err) != rpctypes.ErrTooManyRequests {
		t.Errorf("a list: %v", err)
	}
	w.becomes(t, "afterwards", func(n int64) bool { return n == 1 })
}

func TestWeigh(t *testing.T) {
	kv := &mvccpb.KeyValue{Key: []byte("key"), Value: []byte("value")}
	txn := func(ops ...*pb.ResponseOp) *pb.TxnResponse { return &pb.TxnResponse{Responses: ops} }
	ranged := &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv, kv}}}}
	put := &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{PrevKv: kv}}}
	gone := &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{PrevKvs: []*mvccpb.KeyValue{kv}}}}
	nested := &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: txn(put, gone)}}
	for _, tc := range []struct {
		resp any
		want int64
	}{
		{&pb.RangeResponse{}, 0},
		{&pb.PutResponse{}, 0},
		{txn(ranged, nested), 16 + 5 + 8},
		{&pb.LeaseGrantResponse{}, 0},
	} {
		if got := weigh(tc.resp); got != tc.want {
			t.Errorf("%v weighs %d, not %d", tc.resp, got, tc.want)
		}
	}
}
