package transport

import (
	"context"
	"time"
)

// backoff waits longer after every failure in a row.
type backoff struct {
	min, max time.Duration
	next     time.Duration
}

func (b *backoff) reset() { b.next = b.min }

// wait returns false when ctx ended.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = max(b.next, b.min)
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	b.next = min(2*b.next, b.max)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
