package sequencer

import "time"

// The window is how far the limit runs ahead of use. It is about one second of
// use, so that the jump after a crash stays small against what revision-based
// compaction keeps (P10).
const (
	minWindow = 1_000
	maxWindow = 1_000_000
)

// window follows the rate of use between two raises of the limit.
type window struct {
	size  int64
	since time.Time
	used  int64
}

func newWindow(now time.Time) window { return window{size: minWindow, since: now} }

// take counts numbers as used.
func (w *window) take(n int64) { w.used += n }

// next returns the window for the raise that starts now.
func (w *window) next(now time.Time) int64 {
	elapsed := max(now.Sub(w.since), time.Millisecond)
	perSecond := int64(float64(w.used) * float64(time.Second) / float64(elapsed))
	// Halve at most, so that one quiet moment does not starve the next burst.
	w.size = min(max(perSecond, w.size/2, minWindow), maxWindow)
	w.since, w.used = now, 0
	return w.size
}
