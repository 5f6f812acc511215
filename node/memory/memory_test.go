package memory

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestShare(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	debug.SetMemoryLimit(800 << 20)
	if got := Share(8); got != 100<<20 {
		t.Errorf("of a soft limit of 800 MiB an eighth is %d", got)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if got, whole := Share(8), machine(); whole < 256<<20 || got != whole/8 {
		t.Errorf("of a machine of %d an eighth is %d", whole, got)
	}
}
