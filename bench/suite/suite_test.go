package suite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

func groups(keep bool, rounds int) []workload.Group {
	return []workload.Group{{Name: "a", Workloads: make([]workload.Workload, 2)}, {Name: "b", Workloads: make([]workload.Workload, 2), Keep: keep, Rounds: rounds}}
}

// Systems take turns at going first, and every workload has each round of each.
func TestSchedule(t *testing.T) {
	for _, keep := range []bool{false, true} {
		count := map[[4]int]int{}
		open := map[[2]int]bool{}
		firsts := map[int]int{}
		steps := schedule(groups(keep, 0), 4, 2, false)
		seen := map[[2]int]bool{} // group and round, of the first workload
		for _, s := range steps {
			for _, w := range s.workloads {
				count[[4]int{s.group, w, s.round, s.system}]++
			}
			if key := [2]int{s.group, s.round}; !seen[key] && s.workloads[0] == 0 {
				seen[key] = true
				firsts[s.system]++
			}
			open[[2]int{s.group, s.system}] = !s.close
		}
		if len(count) != 2*2*4*2 || firsts[0] != 4 || firsts[1] != 4 {
			t.Errorf("keep %v: %d measurements, first %v", keep, len(count), firsts)
		}
		for key, n := range count {
			if n != 1 {
				t.Errorf("keep %v: %v %d times", keep, key, n)
			}
		}
		for key, still := range open {
			if still {
				t.Errorf("keep %v: %v stays open", keep, key)
			}
		}
	}
	steps := schedule(groups(false, 1), 3, 1, true)
	profiled := 0
	for _, s := range steps {
		if s.profile {
			profiled++
		}
	}
	if len(steps) != 3+1+1+1 || profiled != 2 {
		t.Errorf("%d steps, %d of them profiled", len(steps), profiled)
	}
}

func TestSelect(t *testing.T) {
	o := Options{Select: []string{"put", "get/linear"}, Groups: []workload.Group{
		{Workloads: []workload.Workload{{Name: "put/256B/c1"}, {Name: "putty"}, {Name: "get/linear/c1"}, {Name: "get/serial/c1"}}},
		{Workloads: []workload.Workload{{Name: "list"}}},
	}}
	if err := o.selectNames(); err != nil {
		t.Fatal(err)
	}
	if len(o.Groups) != 1 || len(o.Groups[0].Workloads) != 2 || o.Groups[0].Workloads[1].Name != "get/linear/c1" {
		t.Errorf("%+v", o.Groups)
	}
	o.Select = []string{"putt"}
	if err := o.selectNames(); err == nil {
		t.Error("a name of nothing was accepted")
	}
}

func TestAcceptable(t *testing.T) {
	o := Options{MaxErrorShare: 0.01}
	broken := errors.New("broken")
	for _, c := range []struct {
		out workload.Outcome
		ok  bool
	}{
		{workload.Outcome{Ops: 1000}, true},
		{workload.Outcome{Ops: 1000, Errors: 10, Error: broken}, true},
		{workload.Outcome{Ops: 1000, Errors: 11, Error: broken}, false},
		{workload.Outcome{Errors: 1, Error: broken}, false},
		{workload.Outcome{}, false},
	} {
		if err := o.acceptable(&c.out); (err == nil) != c.ok || c.out.Error != nil && err != nil && !errors.Is(err, broken) {
			t.Errorf("%+v: %v", c.out, err)
		}
	}
}

type note struct{ err error }

func (note) Name() string { return "note" }
func (n note) Run(_ context.Context, env Env) (*result.Section, error) {
	if env.Pontoon.Binary == "" || env.Dir == "" {
		return nil, errors.New("no environment")
	}
	return &result.Section{Name: "note", Title: "Note", Figures: map[string]float64{"x": 1}}, n.err
}

// A run from the start of clusters to samples, the subject against itself: every
// sample has what the kernel and the servers tell, a workload that fails is told
// and does not end the run, profiles are taken, sections are kept.
func TestRunAgainstItself(t *testing.T) {
	b := clustertest.Subject(t)
	self := cluster.System{Kind: b.Kind, Binary: b.Path}
	group, err := workload.PutsAndGets(workload.Shape{Nodes: 1, Ranges: 3, Keys: 90, ValueSize: 64, Clients: []int{4}})
	if err != nil {
		t.Fatal(err)
	}
	group.Workloads = append(group.Workloads, workload.Workload{Name: "fails", Unit: "nothing",
		Run: func(context.Context, *workload.Target) (*workload.Outcome, error) {
			return nil, errors.New("it always does")
		}})
	last := group.Workloads[0]
	last.Name = "after"
	group.Workloads = append(group.Workloads, last)
	profiles, kept := t.TempDir(), 0
	unfilled := workload.Group{Name: "unfilled", Nodes: 1, Workloads: []workload.Workload{{Name: "never"}},
		Fill: func(context.Context, *workload.Target) error { return errors.New("no room") }}
	run, err := Run(t.Context(), t.Output(), Options{
		Subject: System{Name: "one", System: self}, Baseline: &System{Name: "two", System: self},
		Groups: []workload.Group{group, unfilled}, Sections: []Section{note{errors.New("half of it")}},
		Keep:   func(r *result.Run) error { kept = len(r.Samples); return nil },
		Rounds: 1, Window: 200 * time.Millisecond, Warmup: 50 * time.Millisecond, Connections: 3, Dir: t.TempDir(), ProfileDir: profiles,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Samples) != 10 || kept != 10 || len(run.Failures()) != 5 || run.Sections[0].Failure != "half of it" || run.Sections[0].Figures["x"] != 1 {
		t.Fatalf("%d samples, failures %q, %+v", len(run.Samples), run.Failures(), run.Sections)
	}
	for _, s := range run.Samples {
		if s.Workload == "fails" || s.Workload == "never" {
			continue
		}
		for _, m := range []result.Metric{result.Throughput, result.P50, result.CPU, result.Allocated, result.Resident, result.Disk, result.Servers} {
			if s.Metrics[m] <= 0 {
				t.Errorf("%s of %s: %s is %v (%s)", s.Workload, s.System, m, s.Metrics[m], s.Failure)
			}
		}
		if put := strings.HasPrefix(s.Workload, "put"); put && s.Metrics[result.Syncs] <= 0 {
			t.Errorf("%s without syncs", s.Workload)
		}
	}
	if ratio := run.Cell("put/64B/c4").Ratio(result.Throughput); ratio.Median < 0.1 || ratio.Median > 10 {
		t.Errorf("against itself: %+v", ratio)
	}
	found, err := filepath.Glob(filepath.Join(profiles, "put_64B_c4.one.n1.*.pprof"))
	if err != nil || len(found) != 2 {
		t.Errorf("profiles %v, %v", found, err)
	}
	for _, path := range found {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Endpoints elsewhere: nothing of the servers is known, and no key stays behind.
func TestForeignEndpoints(t *testing.T) {
	c := clustertest.Start(t, clustertest.Subject(t), 1)
	group, err := workload.PutsAndGets(workload.Shape{Nodes: 1, Ranges: 1, Keys: 20, ValueSize: 64, Clients: []int{2}})
	if err != nil {
		t.Fatal(err)
	}
	run, err := Run(t.Context(), t.Output(), Options{
		Subject: System{Name: "there", Endpoints: c.Endpoints()}, Groups: []workload.Group{group},
		Rounds: 1, Window: 100 * time.Millisecond, Warmup: 20 * time.Millisecond, Connections: 2, Dir: t.TempDir(),
	})
	if err != nil || len(run.Failures()) > 0 || len(run.Samples) != 2 {
		t.Fatalf("%v, %+v", err, run)
	}
	for _, s := range run.Samples {
		if _, known := s.Metrics[result.CPU]; known || s.Metrics[result.Throughput] <= 0 {
			t.Errorf("%+v", s)
		}
	}
	if n := keysBelow(t, c.Endpoints(), workload.Prefix); n != 0 {
		t.Errorf("%d keys stayed", n)
	}
}

func TestBadOptions(t *testing.T) {
	self := System{Name: "s", System: cluster.System{Kind: cluster.Pontoon, Binary: os.Args[0]}}
	for _, o := range []Options{
		{Subject: self, Rounds: -1}, {Subject: self, Window: -1}, {Subject: self, MaxErrorShare: -1}, {Subject: System{System: self.System}},
		{Subject: self, Select: []string{"nothing"}}, {Subject: self, Baseline: &System{Name: "b", System: cluster.System{Kind: cluster.Etcd, Binary: "/does/not/exist"}}},
	} {
		if _, err := Run(t.Context(), t.Output(), o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
	if !slices.Equal(order(1, 2), []int{1, 0}) {
		t.Error("order")
	}
}
