package peers

import (
	"context"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Metadata that names the calling node, and the one that is meant.
const (
	fromKey = "pontoon-node"
	toKey   = "pontoon-to"
)

// Guard turns away calls and streams of nodes that were removed from the
// cluster, those that are open at the time too, and those that are meant for a
// node that had this address before: what it promised or knew, this one did not.
type Guard struct {
	Self proto.NodeID
	// Removed reports whether a node was removed. It must not block.
	Removed func(proto.NodeID) bool
	// Reason is what a removed node is told.
	Reason string
}

// Options returns the guard as options of the server between nodes.
func (g Guard) Options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(g.unary), grpc.ChainStreamInterceptor(g.stream)}
}

// admit judges a call by its metadata.
func (g Guard) admit(ctx context.Context) error {
	if to := nodeIn(ctx, toKey); to != 0 && to != g.Self {
		return status.Errorf(codes.FailedPrecondition, "this is node %x, not %x", uint64(g.Self), uint64(to))
	}
	from := From(ctx)
	if err := g.check(from); err != nil {
		return err
	}
	attribute(ctx, from)
	return nil
}

func (g Guard) check(from proto.NodeID) error {
	if from != 0 && g.Removed(from) {
		return status.Error(codes.PermissionDenied, g.Reason)
	}
	return nil
}

// unary lets Join through, whose answer says what became of a node.
func (g Guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if info.FullMethod == pontoonpb.Peer_Join_FullMethodName {
		return next(ctx, req)
	}
	if err := g.admit(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g Guard) stream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := g.admit(s.Context()); err != nil {
		return err
	}
	return next(srv, &guardedStream{s, g, From(s.Context())})
}

type guardedStream struct {
	grpc.ServerStream
	guard Guard
	from  proto.NodeID
}

// RecvMsg drops what a node sends that was removed since the stream began.
func (s *guardedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.guard.check(s.from)
}

// From returns the node that a call names as its origin, 0: none.
func From(ctx context.Context) proto.NodeID { return nodeIn(ctx, fromKey) }

func nodeIn(ctx context.Context, key string) proto.NodeID {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get(key); len(v) == 1 {
		id, err := strconv.ParseUint(v[0], 16, 64)
		if err == nil {
			return proto.NodeID(id)
		}
	}
	return 0
}

// identify names this node in all calls, and the one that is meant if it is
// known, and listens for being turned away.
func identify(o Options, to proto.NodeID) []grpc.DialOption {
	var pairs []string
	if o.Self != 0 {
		pairs = append(pairs, fromKey, strconv.FormatUint(uint64(o.Self), 16))
	}
	if to != 0 {
		pairs = append(pairs, toKey, strconv.FormatUint(uint64(to), 16))
	}
	with := func(ctx context.Context) context.Context { return metadata.AppendToOutgoingContext(ctx, pairs...) }
	heard := func(err error) error {
		if status.Code(err) == codes.PermissionDenied && o.OnRefused != nil {
			o.OnRefused()
		}
		return err
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return heard(call(with(ctx), method, req, reply, cc, opts...))
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			s, err := open(with(ctx), desc, cc, method, opts...)
			if err != nil {
				return nil, heard(err)
			}
			return &heardStream{s, heard}, nil
		}),
	}
}

type heardStream struct {
	grpc.ClientStream
	heard func(error) error
}

// RecvMsg implements grpc.ClientStream.
func (s *heardStream) RecvMsg(m any) error { return s.heard(s.ClientStream.RecvMsg(m)) }
