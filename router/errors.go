package router

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// clientError is the only place where this package turns an error into what an
// etcd client is shown. ctx is the client's own: its end passes through, while
// the end of the server's request timeout is etcd's timeout.
func clientError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var re *proto.RangeError
	switch {
	case errors.As(err, &re) && re.Code == pontoonpb.RangeErrorCode_ETCD:
		return proto.ClientError(err)
	case errors.As(err, &re) && re.Code == pontoonpb.RangeErrorCode_BELOW_FLOOR:
		return rpctypes.ErrGRPCCompacted
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return rpctypes.ErrGRPCTimeout
	}
	return proto.ClientError(err)
}
