package greedy

import (
	"context"
	"time"
)

// pace calls do for what becomes due at even spaces from the first on, until the
// time is over. What became due while do was busy is done at once.
func pace(ctx context.Context, first time.Time, every time.Duration, until time.Time, do func(n int, due time.Time)) {
	for n := 0; ; n++ {
		due := first.Add(time.Duration(n) * every)
		if !due.Before(until) || !pause(ctx, time.Until(due)) {
			return
		}
		do(n, due)
	}
}

// pause waits and says whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
