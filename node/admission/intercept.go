package admission

import (
	"context"
	"net"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"
)

// bounded are the methods that need a place (I3).
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

// tap refuses a request before it is read, while the node is full.
func (g *Gate) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if g.full.Load() && bounded[info.FullMethodName] {
		return nil, g.refuse(reasonNode)
	}
	return ctx, nil
}

func (g *Gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if !bounded[info.FullMethod] {
		return next(ctx, req)
	}
	from, bytes := origin(ctx), sizeOf(req)
	if reason := g.enter(from, bytes); reason != "" {
		return nil, g.refuse(reason)
	}
	defer g.leave(from, bytes)
	return next(ctx, req)
}

// refuse counts a refusal and returns etcd's answer.
func (g *Gate) refuse(reason string) error {
	g.refused.WithLabelValues(reason).Inc()
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
