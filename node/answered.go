package node

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
)

// answered notes every revision that leaves this gateway, whichever service
// said it, so that no later serializable read goes below it (P28).
type answered struct{ observe func(proto.Revision) }

type headed interface{ GetHeader() *pb.ResponseHeader }

func (a answered) note(msg any) {
	if h, ok := msg.(headed); ok {
		if rev := h.GetHeader().GetRevision(); rev > 0 {
			a.observe(proto.Revision(rev))
		}
	}
}

func (a answered) options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(a.unary), grpc.ChainStreamInterceptor(a.stream)}
}

func (a answered) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if err == nil {
		a.note(resp)
	}
	return resp, err
}

func (a answered) stream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return next(srv, answeredStream{s, a})
}

type answeredStream struct {
	grpc.ServerStream
	answered
}

// SendMsg notes before sending: the client may act on the revision at once.
func (s answeredStream) SendMsg(m any) error {
	s.note(m)
	return s.ServerStream.SendMsg(m)
}
