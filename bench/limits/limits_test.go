package limits_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/limits"
)

// A small run: all three are measured, with their processes, and nothing is
// left behind. What they say is for `pontoon bench limits` on a quiet machine.
func TestLimits(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		return // etcd does not serve the echoes
	}
	dir := t.TempDir()
	steps := 0
	rep, err := limits.Run(t.Context(), t.Output(), limits.Options{
		Binary: b.Path, Clients: []int{1, 8}, Connections: 3, Committers: []int{1, 4}, Syncs: 20, Dir: dir,
		Cell: 300 * time.Millisecond, Warmup: 50 * time.Millisecond, Progress: func(string, int, int) { steps++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Sync) != 2 || len(rep.Engine) != 2 || len(rep.Echo) != 2 || steps != 5 {
		t.Fatalf("%+v, %d steps", rep, steps)
	}
	for _, s := range rep.Sync {
		if s.Count == 0 || s.Count > 20 || s.P99Ms <= 0 {
			t.Errorf("%+v", s)
		}
	}
	for _, e := range rep.Engine {
		if e.PerSecond <= 0 || e.P50Ms <= 0 || e.P99Ms < e.P50Ms {
			t.Errorf("%+v", e)
		}
	}
	for _, e := range rep.Echo {
		if e.Count == 0 || e.P50Ms <= 0 {
			t.Errorf("%+v", e)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRefusesBadOptions(t *testing.T) {
	for _, o := range []limits.Options{
		{Binary: "/does/not/exist"}, {Binary: "/", Clients: []int{0}}, {Binary: "/", Cell: -time.Second}, {Binary: "/", Committers: []int{-1}},
	} {
		if _, err := limits.Run(t.Context(), t.Output(), o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}
