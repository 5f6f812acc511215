package sidebyside

import (
	"io"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
)

// The subject against itself: the machinery works and the ratios are plausible.
func TestCompareWithItself(t *testing.T) {
	b := clustertest.Subject(t)
	s := System{Kind: b.Kind, Binary: b.Path}
	steps := 0
	rep, err := Run(t.Context(), t.Output(), Options{
		Subject: s, Baseline: s, Nodes: 1, Rounds: 2, Clients: []int{8}, Connections: 3, Ranges: 4, Keys: 64,
		Cell: 500 * time.Millisecond, Warmup: 100 * time.Millisecond, Dir: t.TempDir(),
		Progress: func(string, int, int) { steps++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Rounds) != 2 || len(rep.Median) != 2 || steps != 8 {
		t.Fatalf("%d rounds, %d medians, %d steps", len(rep.Rounds), len(rep.Median), steps)
	}
	for _, m := range rep.Median {
		if m.Throughput < 0.1 || m.Throughput > 10 {
			t.Errorf("%s against itself: %v", m.Op, m.Throughput)
		}
	}
}

func TestMedianAndFloor(t *testing.T) {
	cell := func(op string, perSecond float64) Cell {
		c := Cell{Op: op, Clients: 64}
		c.PerSecond, c.P50Ms, c.P99Ms = perSecond, 1, 2
		return c
	}
	var r Report
	for _, subject := range []float64{60, 90, 80} {
		r.addRound(io.Discard, 0, []Cell{cell("put", 100), cell("get", 100)}, []Cell{cell("put", subject), cell("get", 200)})
	}
	r.summarize()
	if r.Median[0].Throughput != 0.8 || r.Median[1].Throughput != 2 {
		t.Errorf("%+v", r.Median)
	}
	if r.below(0.7) != nil || r.below(0.9) == nil {
		t.Error("floor is not kept")
	}
}

func TestCPUShares(t *testing.T) {
	ticks, ok := parseTicks("42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 300 40 0 0 20 0 1 0 5 6 7")
	if !ok || ticks != 340 {
		t.Errorf("%v %v", ticks, ok)
	}
	if _, ok := parseTicks("42 (short) S 1"); ok {
		t.Error("a short line was accepted")
	}
	begin := cpuClock{total: 1000, idle: 500, nodes: 100, self: 50}
	got := cpuClock{total: 2000, idle: 600, interrupts: 100, nodes: 500, self: 250}.since(begin)
	if got.Nodes != 0.4 || got.Client != 0.2 || got.Others < 0.19 || got.Others > 0.21 {
		t.Errorf("%+v", got)
	}
	if disturbed(Cell{CPU: got}) == "" || disturbed(Cell{}) != "" {
		t.Error("disturbance is not told")
	}
}
