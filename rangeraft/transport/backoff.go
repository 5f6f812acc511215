package transport

import (
	"context"
	"time"
)

// backoff waits longer after every failure in a row, until somebody knows that
// it is worth a try.
type backoff struct {
	min, max time.Duration
	next     time.Duration
	nudge    <-chan struct{}
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
	case <-b.nudge:
		b.reset()
		return true
	case <-ctx.Done():
		return false
	}
}
