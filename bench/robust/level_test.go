package robust

import (
	"strings"
	"testing"
)

// What grows is told, and what only has peaks is not.
func TestLevel(t *testing.T) {
	run := func(memory func(i int) int64) *Level {
		l := &Level{}
		for i := range 400 {
			for _, node := range []string{"n1", "n2"} {
				l.Samples = append(l.Samples, Sample{Seconds: float64(i), Node: node, Memory: memory(i), Goroutines: 500, Files: 50, Disk: 1 << 30})
			}
		}
		return l.judge(true)
	}
	const size = 400 << 20
	flat := run(func(i int) int64 {
		if i%50 == 0 {
			return 4 * size
		}
		return size + int64(i%7)<<20
	})
	if len(flat.Violations) > 0 || len(flat.Quantities) != len(quantities) {
		t.Errorf("level: %+v", flat)
	}
	grows := run(func(i int) int64 { return size + int64(i)<<20 })
	if len(grows.Violations) != 1 || !strings.Contains(grows.Violations[0], "memory grew") {
		t.Errorf("growing: %v", grows.Violations)
	}
	if none := (&Level{}).judge(true); len(none.Violations) != 1 {
		t.Error("nothing was seen, and nothing told")
	}
}
