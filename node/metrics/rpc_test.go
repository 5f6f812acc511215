package metrics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// served are the methods that the tests call.
var served = map[string]grpc.ServiceInfo{
	"etcdserverpb.KV":          {Methods: []grpc.MethodInfo{{Name: "Put"}, {Name: "Txn"}, {Name: "Range"}}},
	"etcdserverpb.Maintenance": {Methods: []grpc.MethodInfo{{Name: "Defragment"}}},
	"etcdserverpb.Cluster":     {Methods: []grpc.MethodInfo{{Name: "MemberPromote"}}},
	"etcdserverpb.Watch":       {Methods: []grpc.MethodInfo{{Name: "Watch", IsClientStream: true, IsServerStream: true}}},
}

func newTestRPC(t testing.TB) (*RPC, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	r := NewRPC(reg, true, encoding.GetCodecV2(protocodec.Name))
	r.Know(served)
	return r, reg
}

// call runs one unary call that ends with err.
func (r *RPC) call(ctx context.Context, full string, req any, err error) {
	_, _ = r.unary(ctx, req, &grpc.UnaryServerInfo{FullMethod: full}, func(context.Context, any) (any, error) { return nil, err })
}

// is compares one series.
func is(t *testing.T, reg *prometheus.Registry, series string, want float64) {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.Metric {
			var pairs []string
			for _, l := range m.Label {
				pairs = append(pairs, l.GetName()+"="+l.GetValue())
			}
			if f.GetName()+"{"+strings.Join(pairs, ",")+"}" != series {
				continue
			}
			got := value(m)
			if m.Histogram != nil {
				got = float64(m.Histogram.GetSampleCount())
			}
			if got != want {
				t.Errorf("%s is %v, want %v", series, got, want)
			}
			return
		}
	}
	t.Errorf("%s is not there", series)
}

func TestUnaryCallsAreCounted(t *testing.T) {
	r, reg := newTestRPC(t)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(rpctypes.MetadataClientAPIVersionKey, "3.7"))
	const put = "/etcdserverpb.KV/Put"
	r.call(ctx, put, &pb.PutRequest{}, nil)
	r.call(ctx, put, &pb.PutRequest{}, nil)
	r.call(ctx, put, &pb.PutRequest{}, rpctypes.ErrGRPCEmptyKey)                        // refused: no failed proposal
	r.call(ctx, put, &pb.PutRequest{}, fmt.Errorf("put: %w", context.DeadlineExceeded)) // its fate is unknown
	const method = "grpc_method=Put,grpc_service=etcdserverpb.KV,grpc_type=unary}"
	is(t, reg, "grpc_server_started_total{"+method, 4)
	is(t, reg, "grpc_server_msg_received_total{"+method, 4)
	is(t, reg, "grpc_server_msg_sent_total{"+method, 4)
	is(t, reg, "grpc_server_handling_seconds{"+method, 4)
	is(t, reg, "grpc_server_handled_total{grpc_code=OK,"+method, 2)
	is(t, reg, "grpc_server_handled_total{grpc_code=InvalidArgument,"+method, 1)
	is(t, reg, "grpc_server_handled_total{grpc_code=DeadlineExceeded,"+method, 1)
	is(t, reg, "grpc_server_handled_total{grpc_code=DataLoss,"+method, 0)
	is(t, reg, "etcd_server_request_duration_seconds{success=true,type=Put}", 2)
	is(t, reg, "etcd_server_request_duration_seconds{success=false,type=Put}", 2)
	is(t, reg, "etcd_server_proposals_failed_total{}", 1)
	is(t, reg, "etcd_server_proposals_pending{}", 0)
	is(t, reg, "etcd_server_client_requests_total{client_api_version=3.7,type=unary}", 4)
}

// A txn that only reads is no proposal and has a type of its own.
func TestReadOnlyTxnIsNoProposal(t *testing.T) {
	r, reg := newTestRPC(t)
	const txn = "/etcdserverpb.KV/Txn"
	reads := &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}}}}
	puts := &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k")}}}}}
	r.call(t.Context(), txn, reads, status.Error(codes.Unavailable, "gone"))
	is(t, reg, "etcd_server_proposals_failed_total{}", 0)
	is(t, reg, "etcd_server_request_duration_seconds{success=false,type=ReadonlyTxn}", 1)
	r.call(t.Context(), txn, puts, status.Error(codes.Unavailable, "gone"))
	is(t, reg, "etcd_server_proposals_failed_total{}", 1)
	is(t, reg, "etcd_server_request_duration_seconds{success=false,type=Txn}", 1)
}

func TestPendingIsWhatRuns(t *testing.T) {
	r, reg := newTestRPC(t)
	_, _ = r.unary(t.Context(), &pb.PutRequest{}, &grpc.UnaryServerInfo{FullMethod: "/etcdserverpb.KV/Put"},
		func(context.Context, any) (any, error) {
			is(t, reg, "etcd_server_proposals_pending{}", 1)
			return nil, nil
		})
	_, _ = r.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/etcdserverpb.Maintenance/Defragment"},
		func(context.Context, any) (any, error) {
			is(t, reg, "etcd_disk_defrag_inflight{}", 1)
			return nil, nil
		})
	is(t, reg, "etcd_server_proposals_pending{}", 0)
	is(t, reg, "etcd_disk_defrag_inflight{}", 0)
	is(t, reg, "etcd_disk_backend_defrag_duration_seconds{}", 1)
}

func TestPromotionsAreCounted(t *testing.T) {
	r, reg := newTestRPC(t)
	const promote = "/etcdserverpb.Cluster/MemberPromote"
	r.call(t.Context(), promote, nil, rpctypes.ErrGRPCLearnerNotReady)
	r.call(t.Context(), promote, nil, nil)
	is(t, reg, "etcd_server_learner_promote_successes{}", 1)
	is(t, reg, "etcd_server_learner_promote_failures{Reason=FailedPrecondition}", 1)
}

type silentStream struct {
	grpc.ServerStream
	ctx  context.Context
	left int
}

func (s *silentStream) Context() context.Context { return s.ctx }
func (s *silentStream) SendMsg(any) error        { return nil }
func (s *silentStream) RecvMsg(any) error {
	if s.left--; s.left < 0 {
		return errors.New("over")
	}
	return nil
}

func TestStreamsAreCounted(t *testing.T) {
	r, reg := newTestRPC(t)
	err := r.stream(nil, &silentStream{ctx: t.Context(), left: 2}, &grpc.StreamServerInfo{FullMethod: "/etcdserverpb.Watch/Watch"},
		func(_ any, s grpc.ServerStream) error {
			for s.RecvMsg(nil) == nil {
				_ = s.SendMsg(nil)
			}
			return rpctypes.ErrGRPCNoLeader
		})
	if !errors.Is(err, rpctypes.ErrGRPCNoLeader) {
		t.Fatal(err)
	}
	const method = "grpc_method=Watch,grpc_service=etcdserverpb.Watch,grpc_type=bidi_stream}"
	is(t, reg, "grpc_server_msg_received_total{"+method, 2)
	is(t, reg, "grpc_server_msg_sent_total{"+method, 2)
	is(t, reg, "grpc_server_handled_total{grpc_code=Unavailable,"+method, 1)
	is(t, reg, "etcd_network_server_stream_failures_total{API=watch,Type=receive}", 1)
	is(t, reg, "etcd_server_client_requests_total{client_api_version=unknown,type=stream}", 1)
}

// What clients call themselves makes no end of series (I2).
func TestVersionsAreBounded(t *testing.T) {
	r, reg := newTestRPC(t)
	for i := range 10 * maxVersions {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(rpctypes.MetadataClientAPIVersionKey, fmt.Sprint("v", i)))
		r.versions.unary(ctx)
	}
	r.versions.unary(metadata.NewIncomingContext(t.Context(), metadata.Pairs(rpctypes.MetadataClientAPIVersionKey, "\xff")))
	if n := len(families(t, reg)["etcd_server_client_requests_total"].Metric); n > 2*(maxVersions+1) {
		t.Errorf("%d series", n)
	}
	is(t, reg, "etcd_server_client_requests_total{client_api_version=other,type=unary}", 9*maxVersions+1)
}

// What all of this costs a request.
func BenchmarkUnary(b *testing.B) {
	r, _ := newTestRPC(b)
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs(rpctypes.MetadataClientAPIVersionKey, "3.7"))
	info := &grpc.UnaryServerInfo{FullMethod: "/etcdserverpb.KV/Put"}
	next := func(context.Context, any) (any, error) { return nil, nil }
	req := &pb.PutRequest{}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.unary(ctx, req, info, next)
	}
}
