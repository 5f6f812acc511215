package require

import (
	"context"
	"strings"
	"unicode/utf8"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Node is what requests are checked against.
type Node interface {
	// HasLeader reports whether a leader of the root range is known. Does not
	// block.
	HasLeader() bool
	// Learner reports whether this node is a learner member. It may ask the root
	// range before it says so, and blocks then.
	Learner(ctx context.Context) bool
}

// Options are the server options that enforce it.
func (r *Requirements) Options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(r.unary), grpc.ChainStreamInterceptor(r.stream)}
}

func (r *Requirements) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if ofEtcd(info.FullMethod) && !onLearner(req) && r.opts.Node.Learner(ctx) {
		return nil, rpctypes.ErrGRPCNotSupportedForLearner
	}
	if _, err := r.metadata(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (r *Requirements) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if ofEtcd(info.FullMethod) && info.FullMethod != pb.Maintenance_Snapshot_FullMethodName && r.opts.Node.Learner(s.Context()) {
		return rpctypes.ErrGRPCNotSupportedForLearner
	}
	leader, err := r.metadata(s.Context())
	if err != nil {
		return err
	}
	if !leader {
		return next(srv, s)
	}
	ctx, cancel := context.WithCancelCause(s.Context())
	defer cancel(nil)
	led := &ledStream{ServerStream: s, ctx: ctx, end: cancel}
	r.add(led)
	defer r.remove(led)
	err = next(srv, led)
	if context.Cause(ctx) == rpctypes.ErrGRPCNoLeader {
		return rpctypes.ErrGRPCNoLeader
	}
	return err
}

// metadata reports whether the client requires a leader, and refuses if there
// is none.
func (r *Requirements) metadata(ctx context.Context) (leader bool, err error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get(rpctypes.MetadataClientAPIVersionKey); len(v) > 0 && !utf8.ValidString(v[0]) {
		return false, rpctypes.ErrGRPCInvalidClientAPIVersion
	}
	if v := md.Get(rpctypes.MetadataRequireLeaderKey); len(v) > 0 && v[0] == rpctypes.MetadataHasLeader {
		leader = true
		if !r.opts.Node.HasLeader() {
			return true, rpctypes.ErrGRPCNoLeader
		}
	}
	return leader, nil
}

// ofEtcd reports whether a method belongs to etcd's API: only that is refused on
// a learner.
func ofEtcd(method string) bool {
	for _, prefix := range []string{"/etcdserverpb.", "/v3lockpb.", "/v3electionpb."} {
		if strings.HasPrefix(method, prefix) {
			return true
		}
	}
	return false
}

// onLearner reports whether a learner serves a request.
func onLearner(req any) bool {
	switch r := req.(type) {
	case *pb.StatusRequest:
		return true
	case *pb.RangeRequest:
		return r.Serializable
	}
	return false
}
