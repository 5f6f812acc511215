package metrics

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// lastCode is the highest gRPC code.
const lastCode = codes.Unauthenticated

// RPC counts the calls of one gRPC server. Its options go first among the
// server's, so that what others refuse is counted, too.
type RPC struct {
	vecs     vectors
	versions *versions
	bytes    counted
	pending  prometheus.Gauge
	failed   prometheus.Counter
	methods  map[string]*method // complete before the server serves
}

// method is what one method counts, resolved once (I3).
type method struct {
	started, received, sent prometheus.Counter
	handled                 [lastCode + 1]prometheus.Counter
	seconds                 prometheus.Observer // nil: --metrics=basic

	kind       kind
	duration   outcomes            // etcd_server_request_duration_seconds; both nil: not in it
	readOnly   outcomes            // of a Txn that writes nothing
	ranges     outcomes            // etcd_server_range_duration_seconds
	took       prometheus.Observer // a histogram of its own; may be nil
	inflight   prometheus.Gauge    // may be nil
	succeeded  prometheus.Counter  // may be nil
	refused    [lastCode + 1]prometheus.Counter
	streamFail prometheus.Counter // may be nil
}

// outcomes are histograms of what succeeded and what did not.
type outcomes struct{ yes, no prometheus.Observer }

func (o outcomes) observe(ok bool, d time.Duration) {
	h := o.yes
	if !ok {
		h = o.no
	}
	if h != nil {
		h.Observe(d.Seconds())
	}
}

// Options are the server's.
func (r *RPC) Options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(r.bytes), grpc.ChainUnaryInterceptor(r.unary), grpc.ChainStreamInterceptor(r.stream),
	}
}

func (r *RPC) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	m := r.methods[info.FullMethod]
	if m == nil {
		return next(ctx, req)
	}
	began := time.Now()
	m.started.Inc()
	m.received.Inc()
	r.versions.unary(ctx)
	write := m.kind == writes || m.kind == txns && !readOnly(req)
	if write {
		r.pending.Inc()
	}
	if m.inflight != nil {
		m.inflight.Inc()
	}
	resp, err := next(ctx, req)
	took, code := time.Since(began), codeOf(err)
	if write {
		r.pending.Dec()
		if unanswered(code) {
			r.failed.Inc()
		}
	}
	if m.inflight != nil {
		m.inflight.Dec()
	}
	m.sent.Inc() // an error is an answer, too: etcd counts it
	m.done(code, took)
	if m.kind == txns && !write {
		m.readOnly.observe(err == nil, took)
	} else {
		m.duration.observe(err == nil, took)
	}
	m.ranges.observe(err == nil, took)
	return resp, err
}

// done counts the end of a call.
func (m *method) done(code codes.Code, took time.Duration) {
	m.handled[code].Inc()
	if m.seconds != nil {
		m.seconds.Observe(took.Seconds())
	}
	if m.took != nil && code == codes.OK {
		m.took.Observe(took.Seconds())
	}
	if m.succeeded != nil && code == codes.OK {
		m.succeeded.Inc()
	}
	if c := m.refused[code]; c != nil {
		c.Inc()
	}
}

func (r *RPC) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	m := r.methods[info.FullMethod]
	if m == nil {
		return next(srv, s)
	}
	began := time.Now()
	m.started.Inc()
	r.versions.stream(s.Context())
	err := next(srv, &countedStream{s, m})
	code := codeOf(err)
	m.done(code, time.Since(began))
	if m.streamFail != nil && code != codes.OK && code != codes.Canceled {
		m.streamFail.Inc()
	}
	return err
}

type countedStream struct {
	grpc.ServerStream
	*method
}

// SendMsg implements grpc.ServerStream.
func (s *countedStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err == nil {
		s.sent.Inc()
	}
	return err
}

// RecvMsg implements grpc.ServerStream.
func (s *countedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.received.Inc()
	}
	return err
}

func codeOf(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	s, _ := status.FromError(err)
	if s.Code() == codes.Unknown { // an error of a context is no status of its own
		s = status.FromContextError(err)
	}
	if c := s.Code(); c <= lastCode {
		return c
	}
	return codes.Unknown
}

// unanswered tells a write whose fate the cluster did not say from one that was
// refused.
func unanswered(c codes.Code) bool {
	switch c {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.Internal:
		return true
	}
	return false
}

func readOnly(req any) bool {
	r, ok := req.(*pb.TxnRequest)
	return ok && etcdop.ReadOnly(r)
}

// split takes a full method apart: /service/method.
func split(full string) (service, name string) {
	service, name, _ = strings.Cut(strings.TrimPrefix(full, "/"), "/")
	return service, name
}
