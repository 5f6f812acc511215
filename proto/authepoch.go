package proto

import "context"

type authEpochKey struct{}

// WithAuthChecked says that the permissions of ctx's caller were checked under
// the rules of an auth epoch. What changes keys in its name is refused under a
// newer one, with ErrGRPCAuthOldRevision (P9). On its way to the leader the
// number of the alarm epoch is added to that of the auth epoch: neither ever
// decreases, so the sum is outdated if either is.
func WithAuthChecked(ctx context.Context, epoch uint64) context.Context {
	return context.WithValue(ctx, authEpochKey{}, epoch)
}

// AuthChecked returns the epoch; false: nobody's permissions matter.
func AuthChecked(ctx context.Context) (epoch uint64, ok bool) {
	epoch, ok = ctx.Value(authEpochKey{}).(uint64)
	return epoch, ok
}
