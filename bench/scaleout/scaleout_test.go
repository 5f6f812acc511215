package scaleout

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cgroup"
	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

// A small run, capped: from four nodes on replicas move.
func TestScaleout(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		return
	}
	groups, err := cgroup.Open("")
	if err != nil {
		t.Skip(err)
	}
	if err := groups.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	rep, err := Run(t.Context(), t.Output(), Options{
		Pontoon: b.Path, PontoonNodes: []int{1, 4}, CPU: 0.4, Ranges: 4, Keys: 64, Clients: 16, Connections: 4,
		Idle: 500 * time.Millisecond, Cell: time.Second, Warmup: 500 * time.Millisecond, From: 1, To: 4, Profiles: filepath.Join(dir, "profiles"), Dir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Points) != 2 || len(rep.Growth) != 1 || rep.Growth[0].Throughput <= 0 {
		t.Fatalf("%+v", rep)
	}
	for _, p := range rep.Points {
		if p.Count == 0 || len(p.Each) != p.Nodes || p.NodeCores <= 0 {
			t.Errorf("%+v", p)
		}
		for _, e := range p.Each {
			if e.Cores > 0.8 || p.Nodes == 4 && e.Leads < 1 {
				t.Errorf("%d nodes: %+v", p.Nodes, e)
			}
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "profiles", "*.pb.gz")); len(files) != 5 {
		t.Errorf("profiles: %v", files)
	}
}

// I1: without caps there is no figure.
func TestNoCapsNoFigures(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), t.Output(), Options{Pontoon: binary, Cgroup: t.TempDir()})
	if rep != nil || err == nil || !strings.Contains(err.Error(), "nodes cannot be capped here") {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestWantedIsEven(t *testing.T) {
	nodes := []uint64{3, 5, 7, 9, 11, 13}
	leads, holds := map[uint64]int{}, map[uint64]int{}
	for i := range 36 {
		want := wanted(nodes, i)
		if len(want) != 3 || want[0] == want[1] || want[1] == want[2] || want[0] == want[2] {
			t.Fatal(want)
		}
		leads[want[0]]++
		for _, n := range want {
			holds[n]++
		}
	}
	for _, n := range nodes {
		if leads[n] != 6 || holds[n] != 18 {
			t.Errorf("node %d leads %d, holds %d", n, leads[n], holds[n])
		}
	}
	if got := wanted([]uint64{1, 2}, 1); !slices.Equal(got, []uint64{2, 1}) {
		t.Error(got)
	}
}

func TestGrowth(t *testing.T) {
	point := func(s cluster.Kind, nodes int, rate, used, cost float64) Point {
		p := Point{System: s, Nodes: nodes, Used: used, CPUMicros: cost, Cap: 0.15, Each: []NodeUse{{Node: "n1", Cores: 0.1}}}
		p.PerSecond = rate
		return p
	}
	r := Report{Points: []Point{
		point(cluster.Pontoon, 3, 900, 1, 100), point(cluster.Pontoon, 3, 1000, 1, 200), point(cluster.Pontoon, 3, 5000, 1, 300),
		point(cluster.Pontoon, 9, 2400, 0.8, 250), point(cluster.Pontoon, 9, 2600, 0.8, 250),
		point(cluster.Etcd, 3, 1000, 1, 100), point(cluster.Etcd, 7, 500, 1, 200),
	}}
	r.summarize(3, 9)
	want := []Growth{{cluster.Pontoon, 3, 9, 2.5, 0.8, 1.25}, {cluster.Etcd, 3, 7, 0.5, 1, 2}}
	if !slices.Equal(r.Growth, want) {
		t.Errorf("%+v", r.Growth)
	}
	if r.below(2.5) != nil || r.below(2.6) == nil || r.below(0) != nil {
		t.Error("the floor is not kept")
	}
	r = Report{Points: r.Points[:3]}
	r.summarize(3, 9)
	if len(r.Growth) != 0 || r.below(1) == nil {
		t.Error("a ratio out of one size")
	}
	full := point(cluster.Pontoon, 12, 1, 1, 1)
	if !strings.Contains(full.line(), "the machine was full") {
		t.Error("a full machine is not told (I4)") // no idle time
	}
	full.IdleShare = 0.3
	if strings.Contains(full.line(), "the machine was full") {
		t.Error("an idle machine is called full")
	}
}

func TestApproachWaitsForLearners(t *testing.T) {
	moving := 2
	done, err := approach(t.Context(), nil, &steer.Range{Voters: []uint64{1, 2}, Learners: []uint64{3}}, []uint64{1, 2, 3}, &moving)
	if done || err != nil || moving != 1 {
		t.Error(done, err, moving)
	}
	done, err = approach(t.Context(), nil, &steer.Range{Leader: 2, Voters: []uint64{1, 2}}, []uint64{2, 1}, &moving)
	if !done || err != nil {
		t.Error(done, err)
	}
}
