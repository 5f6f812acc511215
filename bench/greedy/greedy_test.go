package greedy

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
)

// small are options of a run that ends soon, nil where there is nothing to run.
func small(t *testing.T) *Options {
	t.Helper()
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		return nil
	}
	groups, err := openGroups("")
	if err != nil {
		t.Skip(err)
	}
	if err := groups.Close(); err != nil {
		t.Fatal(err)
	}
	return &Options{
		Pontoon: b.Path, Nodes: 1, CPU: 1, Cell: 700 * time.Millisecond, Ranges: 3, Bystanders: 3, Rate: 60,
		HotClients: 8, Lists: 4, ListBytes: 1 << 20, SlowWatchers: 6, Watchers: 50, InFlight: 4 << 20,
		MaxP99: 30 * time.Second, Limit: 30 * time.Second, Dir: t.TempDir(),
	}
}

// Greed that is small is no harm, and is seen in every scenario.
func TestGreedy(t *testing.T) {
	o := small(t)
	if o == nil {
		return
	}
	rep, err := Run(t.Context(), t.Output(), *o)
	if err != nil {
		t.Fatal(err)
	}
	rep.WriteText(t.Output())
	if len(rep.Results) != len(Names()) {
		t.Fatalf("%d scenarios of %d", len(rep.Results), len(Names()))
	}
	for _, r := range rep.Results {
		if r.Quiet.Done.Count == 0 || r.Beside.Done.Count == 0 || r.Nodes.MemoryPeak < 1<<20 || r.Vitals.ResidentMax < 1<<20 {
			t.Errorf("%+v", r)
		}
		if g := r.Greedy; g.Failed > 0 || (g.Unread > 0) != (r.Scenario == "slow-list") || (g.Done.Count > 0) == (r.Scenario == "slow-list") {
			t.Errorf("%s: %v, %s", r.Scenario, g, g.Failure)
		}
	}
}

// I5: what fails is named, and the others run.
func TestFailuresAreTold(t *testing.T) {
	o := small(t)
	if o == nil {
		return
	}
	o.Scenarios, o.MaxP99, o.Memory = []string{"list", "hot"}, time.Nanosecond, 1<<30
	rep, err := Run(t.Context(), t.Output(), *o)
	if rep == nil || len(rep.Results) != 2 || err == nil || !strings.Contains(err.Error(), "hot: p99") || !strings.Contains(err.Error(), "list: p99") {
		t.Errorf("%+v, %v", rep, err)
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

func TestOptionsRefused(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []Options{
		{Scenarios: []string{"kind"}}, {Nodes: -1}, {Lists: -1}, {Rate: -1}, {ListBytes: 1}, {InFlight: 1}, {Memory: 1}, {Cell: -1},
		{LeaseTTL: time.Millisecond}, {MaxRefused: -1}, {Pontoon: "/does/not/exist"},
	} {
		if bad.Pontoon == "" {
			bad.Pontoon = binary
		}
		if err := bad.complete(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if err := (&Options{Pontoon: binary}).complete(); err != nil {
		t.Error(err)
	}
}
