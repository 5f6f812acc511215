package admission

import (
	"context"
	"net"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"
)

// bounded are the methods that need a place (I4).
var bounded = map[string]bool{
	pb.KV_Range_FullMethodName: true, pb.KV_Put_FullMethodName: true, pb.KV_DeleteRange_FullMethodName: true,
	pb.KV_Txn_FullMethodName: true, pb.KV_Compact_FullMethodName: true,
	pb.Lease_LeaseGrant_FullMethodName: true, pb.Lease_LeaseRevoke_FullMethodName: true,
	pb.Lease_LeaseTimeToLive_FullMethodName: true, pb.Lease_LeaseLeases_FullMethodName: true,
}

// ServerOptions put the gate before a server's services.
func (g *Gate) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.InTapHandle(g.tap), grpc.ChainUnaryInterceptor(g.unary)}
}

// tap refuses a request before it is read, while the node is full or so late that the
// client would be gone.
func (g *Gate) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	switch {
	case !bounded[info.FullMethodName]:
	case g.full.Load():
		return nil, g.refuse(reasonNode)
	case g.late(patience(ctx) * 7 / 8): // by the time it is read it would be refused
		return nil, g.refuse(reasonLate)
	}
	return ctx, nil
}

// patience is how long the client of a request still waits.
func patience(ctx context.Context) time.Duration {
	if d, ok := ctx.Deadline(); ok {
		return time.Until(d)
	}
	return longest
}

func (g *Gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	if !bounded[info.FullMethod] {
		return next(ctx, req)
	}
	from, bytes := origin(ctx), sizeOf(req)
	if reason := g.enter(from, bytes, patience(ctx)); reason != "" {
		return nil, g.refuse(reason)
	}
	began := time.Now()
	defer func() {
		took := time.Since(began)
		if err != nil {
			took = 0
		}
		g.leave(from, bytes, took)
	}()
	return next(ctx, req)
}

// refuse counts a refusal and returns etcd's answer.
func (g *Gate) refuse(reason string) error {
	g.refused[reason].Inc()
	return rpctypes.ErrGRPCRequestTooManyRequests
}

// origin tells connections apart; nil: of what cannot be told apart.
func origin(ctx context.Context) net.Addr {
	if p, ok := peer.FromContext(ctx); ok {
		switch a := p.Addr.(type) { // the same pointer for as long as the connection lives
		case *net.TCPAddr:
			return a
		case *net.UnixAddr:
			return a
		}
	}
	return nil
}

// sizeOf is what a request takes, in bytes; exact only where it may be large.
func sizeOf(req any) int64 {
	switch r := req.(type) {
	case *pb.PutRequest:
		return int64(len(r.Key) + len(r.Value))
	case *pb.TxnRequest:
		return int64(proto.Size(r))
	case *pb.RangeRequest:
		return int64(len(r.Key) + len(r.RangeEnd))
	case *pb.DeleteRangeRequest:
		return int64(len(r.Key) + len(r.RangeEnd))
	}
	return 0
}
