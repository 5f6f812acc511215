package api

import (
	"context"
	"time"

	"github.com/pontoon-kv/pontoon/storage/keys"
)

// userSpan is the span that etcd keys live in.
var userSpan = keys.UserSpan

// backoff spaces retries of a local question whose answer is on its way.
type backoff struct {
	next time.Duration
}

func newBackoff() *backoff { return &backoff{next: time.Millisecond} }

// wait blocks for the next interval or until ctx ends.
func (b *backoff) wait(ctx context.Context) error {
	t := time.NewTimer(b.next)
	defer t.Stop()
	b.next = min(2*b.next, 100*time.Millisecond)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
