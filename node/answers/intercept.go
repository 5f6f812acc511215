package answers

import (
	"context"
	"runtime"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
)

// large is how many bytes an answer must have to be counted until it was sent (I3).
const large = 64 << 10

// Options count the answers of a server, whose codec must be the account's.
func (a *Account) Options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(a.unary)}
}

func (a *Account) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if r, ok := req.(*pb.RangeRequest); ok && len(r.RangeEnd) > 0 && !r.CountOnly {
		return a.gathered(ctx, r, next)
	}
	resp, err := next(ctx, req)
	if err != nil {
		return nil, err
	}
	size := weigh(resp)
	if size < large {
		return resp, nil
	}
	h := a.hold()
	h.add(size)
	return keep(resp, h), nil
}

// gathered answers a request whose answer grows as it is gathered.
func (a *Account) gathered(ctx context.Context, r *pb.RangeRequest, next grpc.UnaryHandler) (any, error) {
	h := a.hold()
	resp, err := next(context.WithValue(ctx, key{}, h), r)
	if err != nil || h.n.Load() < large {
		h.giveBack()
		return resp, err
	}
	return keep(resp, h), nil
}

// held is an answer that counts until it was sent.
type held struct {
	message any
	hold    *hold
}

// keep lets an answer count until its buffer was sent. gRPC forgets what a connection
// had to send when that breaks; then the buffer is garbage, and the hold with it (I2).
func keep(resp any, h *hold) *held {
	runtime.AddCleanup(h, (*weight).giveBack, h.weight)
	return &held{resp, h}
}

// weigh is about how many bytes an answer takes; exact only where that may be many.
func weigh(resp any) (n int64) {
	switch r := resp.(type) {
	case *pb.RangeResponse:
		return values(r.GetKvs())
	case *pb.PutResponse:
		return int64(len(r.GetPrevKv().GetValue()))
	case *pb.DeleteRangeResponse:
		return values(r.GetPrevKvs())
	case *pb.TxnResponse:
		for _, op := range r.GetResponses() {
			n += weigh(op.GetResponseRange()) + weigh(op.GetResponsePut()) + weigh(op.GetResponseDeleteRange()) +
				weigh(op.GetResponseTxn())
		}
	}
	return n
}

func values(kvs []*mvccpb.KeyValue) (n int64) {
	for _, kv := range kvs {
		n += int64(len(kv.Key) + len(kv.Value))
	}
	return n
}
