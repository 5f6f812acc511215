package auth

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"
)

// MayWatch returns why etcd would not let the caller watch the span, "" if it
// may, by the newest rules heard of. Whoever asks after a read revision that was
// asked for after the request came is answered by rules no older than the
// request (I3, P9). An error says that the rules cannot be read.
func (g *Guard) MayWatch(ctx context.Context, key, end []byte) (refused string, err error) {
	rules, err := g.Current(ctx)
	if err != nil {
		return "", err
	}
	if len(key) == 0 {
		key = []byte{0}
	}
	err = rules.allow(ctx, func(_ context.Context, c caller) error { return c.read(key, end) })
	if err != nil {
		return reason(err).Error(), nil
	}
	return "", nil
}

// reason is what etcd says of a watch that is not allowed.
func reason(err error) error {
	for _, e := range []error{rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCAuthOldRevision, rpctypes.ErrGRPCUserEmpty} {
		if errors.Is(err, e) || status.Convert(err).Message() == status.Convert(e).Message() {
			return e
		}
	}
	return rpctypes.ErrGRPCPermissionDenied
}
