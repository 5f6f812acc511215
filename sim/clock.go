package sim

import (
	"sync"
	"time"
)

// clock is the monotonic clock of one machine. It goes faster or slower than
// time does.
type clock struct {
	mu    sync.Mutex
	since time.Time     // of the last change of rate
	shown time.Duration // at that time
	drift int64         // per mille; 1000 is twice as fast
}

// newClock returns a clock that shows some time, as that of a machine that runs
// for a while: 0 is no time.
func newClock(shows time.Duration) *clock { return &clock{since: time.Now(), shown: shows} }

func (c *clock) now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

func (c *clock) nowLocked() time.Duration {
	gone := time.Since(c.since)
	return c.shown + gone + gone*time.Duration(c.drift)/1000
}

// setDrift changes the rate from now on.
func (c *clock) setDrift(perMille int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown, c.since = c.nowLocked(), time.Now()
	c.drift = perMille
}
