package driver

import (
	"testing"
	"time"
)

// Idle ranges must not cost in proportion to how many there are: the more are
// looked at in vain, the longer the pause.
func TestPauseGrowsWithQuietRanges(t *testing.T) {
	d := &Driver{opts: Options{Interval: time.Second}}
	for _, tc := range []struct {
		running bool
		quiet   int
		took    time.Duration
		want    time.Duration
	}{
		{false, 0, 0, time.Second},
		{false, manyRanges, 0, time.Second},
		{false, manyRanges + 1, 0, 4 * time.Second},
		{false, 7000, 30 * time.Millisecond, 7 * time.Second},
		{false, 100_000, 0, maxPause},
		{false, 0, 100 * time.Millisecond, 5 * time.Second},
		{true, 0, 100 * time.Millisecond, time.Second},
		{true, 0, time.Second, 4 * time.Second},
		{false, 0, time.Minute, maxPause},
	} {
		if got := d.pause(tc.running, tc.quiet, tc.took); got != tc.want {
			t.Errorf("running %v, %d quiet ranges, a round of %v: pause %v, want %v", tc.running, tc.quiet, tc.took, got, tc.want)
		}
	}
}
