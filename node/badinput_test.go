package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// same reports whether an error is that of etcd, code and text.
func same(t *testing.T, name string, got, want error) {
	t.Helper()
	g, w := status.Convert(got), status.Convert(want)
	if got == nil || g.Code() != w.Code() || g.Message() != w.Message() {
		t.Errorf("%s: %v, want %v", name, got, want)
	}
}

func putOf(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}}
}

func txnOf(ops ...*pb.RequestOp) *pb.TxnRequest { return &pb.TxnRequest{Success: ops} }

// Every kind of bad request gets etcd's error, and the node serves on.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	nd.split("m")
	ctx := within(t, 30*time.Second)
	rev := nd.put("a", "1")
	nd.put("a", "2")
	if _, err := nd.kv().Compact(ctx, &pb.CompactionRequest{Revision: rev + 1}); err != nil {
		t.Fatal(err)
	}
	many := make([]*pb.RequestOp, 129)
	for i := range many {
		many[i] = putOf(fmt.Sprint("k", i))
	}
	const mib = 1 << 20
	get := func(r *pb.RangeRequest) error { _, err := nd.kv().Range(ctx, r); return err }
	put := func(r *pb.PutRequest) error { _, err := nd.kv().Put(ctx, r); return err }
	txn := func(r *pb.TxnRequest) error { _, err := nd.kv().Txn(ctx, r); return err }
	del := func(r *pb.DeleteRangeRequest) error { _, err := nd.kv().DeleteRange(ctx, r); return err }
	compact := func(rev int64) error {
		_, err := nd.kv().Compact(ctx, &pb.CompactionRequest{Revision: rev})
		return err
	}
	grant := func(r *pb.LeaseGrantRequest) error { _, err := nd.lease().LeaseGrant(ctx, r); return err }
	for _, bad := range []struct {
		name string
		err  error
		want error
	}{
		{"get without a key", get(&pb.RangeRequest{}), rpctypes.ErrGRPCEmptyKey},
		{"put without a key", put(&pb.PutRequest{}), rpctypes.ErrGRPCEmptyKey},
		{"delete without a key", del(&pb.DeleteRangeRequest{}), rpctypes.ErrGRPCEmptyKey},
		{"txn put without a key", txn(txnOf(putOf(""))), rpctypes.ErrGRPCEmptyKey},
		{"too many operations", txn(txnOf(many...)), rpctypes.ErrGRPCTooManyOps},
		{"duplicate key", txn(txnOf(putOf("a"), putOf("z"), putOf("a"))), rpctypes.ErrGRPCDuplicateKey},
		{"sort order", get(&pb.RangeRequest{Key: []byte("a"), SortOrder: 9}), rpctypes.ErrGRPCInvalidSortOption},
		{"future revision", get(&pb.RangeRequest{Key: []byte("a"), Revision: rev + 100}), rpctypes.ErrGRPCFutureRev},
		{"compacted revision", get(&pb.RangeRequest{Key: []byte("a"), Revision: rev}), rpctypes.ErrGRPCCompacted},
		{"compaction of the compacted", compact(rev), rpctypes.ErrGRPCCompacted},
		{"compaction of the future", compact(rev + 100), rpctypes.ErrGRPCFutureRev},
		{"put under an unknown lease", put(&pb.PutRequest{Key: []byte("a"), Lease: 12345}), rpctypes.ErrGRPCLeaseNotFound},
		{"ignored value with a value", put(&pb.PutRequest{Key: []byte("a"), Value: []byte("x"), IgnoreValue: true}), rpctypes.ErrGRPCValueProvided},
		{"ignored value of nothing", put(&pb.PutRequest{Key: []byte("none"), IgnoreValue: true}), rpctypes.ErrGRPCKeyNotFound},
		{"TTL beyond the bound", grant(&pb.LeaseGrantRequest{TTL: 9_000_000_001}), rpctypes.ErrGRPCLeaseTTLTooLarge},
		{"a request just over the limit", put(&pb.PutRequest{Key: []byte("a"), Value: make([]byte, 1.5*mib)}), rpctypes.ErrGRPCRequestTooLarge},
		{"a message over gRPC's limit", put(&pb.PutRequest{Key: []byte("a"), Value: make([]byte, 2*mib)}),
			status.Error(codes.ResourceExhausted, "grpc: received message larger than max (2097160 vs. 2097152)")},
	} {
		same(t, bad.name, bad.err, bad.want)
	}
	if _, err := nd.lease().LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 12345}); err != nil {
		same(t, "revoke of an unknown lease", err, rpctypes.ErrGRPCLeaseNotFound)
	} else {
		t.Error("an unknown lease was revoked")
	}
	ttl, err := nd.lease().LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 12345})
	if err != nil || ttl.TTL != -1 {
		t.Errorf("time to live of an unknown lease: %v, %v", ttl, err)
	}
	if l, err := nd.lease().LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: -5}); err != nil || l.TTL < 1 {
		t.Errorf("a TTL below the least is raised to it: %v, %v", l, err)
	}
	nd.mustHave("a", "2", rev+1) // nothing of all that left a mark
	if err := put(&pb.PutRequest{Key: []byte("big"), Value: make([]byte, 1.5*mib-64)}); err != nil {
		t.Errorf("the largest value: %v", err)
	}
}

// A watch that starts below the floor is told so.
func TestBadWatches(t *testing.T) {
	t.Parallel()
	nd := newCluster(t, 1, nil).nodes[0]
	ctx := within(t, 30*time.Second)
	first := nd.put("a", "1")
	last := nd.put("a", "2")
	if _, err := nd.kv().Compact(ctx, &pb.CompactionRequest{Revision: last}); err != nil {
		t.Fatal(err)
	}
	stream, err := nd.watch().Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send := func(r *pb.WatchRequest) {
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	send(&pb.WatchRequest{}) // says nothing: ignored
	send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: 99}}})
	send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: first}}})
	compacted := false
	for !compacted {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Events) > 0 {
			t.Fatalf("events below the floor: %v", resp)
		}
		compacted = resp.CompactRevision == last && resp.Canceled
	}
	send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")}}})
	if resp, err := stream.Recv(); err != nil || !resp.Canceled || resp.CancelReason != "mvcc: watcher range is empty" {
		t.Fatalf("an inverted span: %v, %v", resp, err)
	}
}

// raw sends bytes as they are under the name of protobuf.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return v.([]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = bytes.Clone(data); return nil }
func (raw) Name() string                       { return "proto" }

// What is no protobuf, no gRPC or no HTTP is refused, and nothing else suffers.
func TestMalformedInput(t *testing.T) {
	t.Parallel()
	nd := newCluster(t, 1, nil).nodes[0]
	rev := nd.put("a", "1")
	ctx := within(t, 20*time.Second)
	for _, method := range []string{
		"/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Txn", "/etcdserverpb.KV/DeleteRange", "/etcdserverpb.KV/Compact",
		"/etcdserverpb.Lease/LeaseGrant", "/etcdserverpb.Maintenance/HashKV", "/etcdserverpb.Cluster/MemberList", "/pontoonpb.Admin/RangeSplit",
	} {
		for _, junk := range [][]byte{{0xff}, {0x0a, 0x7f, 'x'}, bytes.Repeat([]byte{0x0b}, 5000), {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
			var reply []byte
			err := nd.conn.Invoke(ctx, method, junk, &reply, grpc.ForceCodec(raw{}))
			if code := status.Code(err); code != codes.Internal && !(code == codes.Unimplemented && strings.Contains(method, "Admin")) {
				t.Errorf("%s of %x: %v", method, junk[:min(4, len(junk))], err)
			}
		}
	}
	for _, method := range []string{"/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive"} {
		stream, err := nd.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodec(raw{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg([]byte{0xff}); err != nil {
			t.Fatal(err)
		}
		var reply []byte
		if err := stream.RecvMsg(&reply); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s of junk: %v", method, err)
		}
	}
	for name, bytes := range map[string]string{
		"noise":               "\x00\x01\x02\x03 noise \xff\xff\r\n\r\n",
		"TLS hello":           "\x16\x03\x01\x00\x05hello",
		"half a request":      "GET /health HTTP/1.1\r\nHost:",
		"preface, then noise": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		conn, err := net.Dial("tcp", nd.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}
	nd.mustHave("a", "1", rev)
}

// Clients that vanish in the middle of streams leave nothing behind, whether
// they say goodbye or not.
func TestHalfOpenStreams(t *testing.T) {
	t.Parallel()
	nd := newCluster(t, 1, nil).nodes[0]
	rev := nd.put("a", "1")
	watchers := func() string {
		_, body := nd.get("/metrics")
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "pontoon_watch_watchers ") {
				return strings.TrimSpace(line)
			}
		}
		return ""
	}
	for i := range 50 {
		half := dialHalf(t, nd.addr)
		ctx, cancel := context.WithCancel(within(t, 20*time.Second))
		w, err := pb.NewWatchClient(half.grpc).Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		create := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: rev}}}
		if err := w.Send(create); err != nil {
			t.Fatal(err)
		}
		k, err := pb.NewLeaseClient(half.grpc).LeaseKeepAlive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Send(&pb.LeaseKeepAliveRequest{ID: 1}); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if _, err := w.Recv(); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		half.vanish()
		cancel()
	}
	for i := range 20 {
		nd.put("a", fmt.Sprint(i))
	}
	nd.mustHave("a", "19", rev+20)
	if line := watchers(); line != "" {
		wait(t, "the watches of vanished clients to end: "+line, func() bool { return strings.HasSuffix(watchers(), " 0") })
	}
}

// half is a connection whose TCP side can be torn away.
type half struct {
	grpc *grpc.ClientConn
	tcp  chan net.Conn
}

func dialHalf(t *testing.T, addr string) *half {
	t.Helper()
	h := &half{tcp: make(chan net.Conn, 8)}
	conn, err := grpc.NewClient("passthrough:///"+addr, insecureDial(), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			h.tcp <- c
		}
		return c, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	h.grpc = conn
	t.Cleanup(func() { conn.Close() })
	return h
}

// vanish resets the connection: no goodbye reaches the node.
func (h *half) vanish() {
	c := <-h.tcp
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	h.grpc.Close()
}
