package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
)

// slowRequests logs requests that take longer than a limit, as etcd does. On a node
// that has too much to do all of them do: then writing them down would be a tenth of its
// work, so that it tells of some and how many it left out, as etcd's sampling logger.
type slowRequests struct {
	limit   time.Duration // 0: none is logged
	log     *slog.Logger
	some    *rate.Limiter
	omitted atomic.Int64 // since the last one that was logged
}

func newSlowRequests(limit time.Duration, log *slog.Logger) *slowRequests {
	return &slowRequests{limit: limit, log: log, some: rate.NewLimiter(20, 100)}
}

func (s *slowRequests) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if s.limit <= 0 {
		return next(ctx, req)
	}
	began := time.Now()
	resp, err := next(ctx, req)
	if took := time.Since(began); took > s.limit {
		if !s.some.Allow() {
			s.omitted.Add(1)
			return resp, err
		}
		remote := "No remote client info."
		if p, ok := peer.FromContext(ctx); ok {
			remote = p.Addr.String()
		}
		s.log.Warn("request stats", "start time", began, "time spent", took.String(), "remote", remote,
			"response type", info.FullMethod, "request size", size(req), "response size", size(resp), "request content", loggable(req),
			"omitted", s.omitted.Swap(0))
	}
	return resp, err
}

// size is that of a message, -1 if there is none.
func size(m any) int {
	if m, ok := m.(proto.Message); ok && m.ProtoReflect().IsValid() {
		return proto.Size(m)
	}
	return -1
}

// loggable describes a request without the values in it; one that may hold a
// secret is not described at all.
func loggable(req any) string {
	switch r := req.(type) {
	case *pb.RangeRequest:
		return r.String()
	case *pb.DeleteRangeRequest:
		return r.String()
	case *pb.PutRequest:
		return fmt.Sprint(pb.NewLoggablePutRequest(r))
	case *pb.TxnRequest:
		return pb.NewLoggableTxnRequest(r).String()
	}
	return ""
}
