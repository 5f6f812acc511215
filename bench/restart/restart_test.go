package restart

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
)

// A small run: filled, killed, read, counted.
func TestRestart(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		return
	}
	rep, err := Run(t.Context(), t.Output(), Options{
		Pontoon: b.Path, Nodes: 1, Keys: 1050, Ranges: 3, Restarts: 2, Rest: 100 * time.Millisecond, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Systems) != 1 || len(rep.Systems[0].Restarts) != 2 || rep.Ratios != nil {
		t.Fatalf("%+v", rep)
	}
	for _, r := range rep.Systems[0].Restarts {
		if r.FirstSeconds <= 0 || r.AllSeconds < r.FirstSeconds || r.Serving.Resident < 1<<20 || r.Serving.Anonymous > r.Serving.Resident {
			t.Errorf("%+v", r)
		}
	}
}

// I1, I2: what is gone is found.
func TestLossIsFound(t *testing.T) {
	c := clustertest.Start(t, clustertest.Subject(t), 1)
	o := Options{Pontoon: t.TempDir(), Keys: 10, Ranges: 1}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	if err := o.fill(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := o.count(t.Context(), c); err != nil {
		t.Error(err)
	}
	n := c.Nodes()[0]
	if err := o.readOnce(t.Context(), n, 9, time.Minute); err != nil {
		t.Error(err)
	}
	o.Keys = 11
	if err := o.count(t.Context(), c); err == nil {
		t.Error("a key that is not there was counted")
	}
	if err := o.readOnce(t.Context(), n, 10, time.Minute); err == nil {
		t.Error("a key that is not there was read")
	}
	o.ValueSize++
	if err := o.readOnce(t.Context(), n, 9, time.Minute); err == nil {
		t.Error("another value was taken for the right one")
	}
}

func TestRatios(t *testing.T) {
	r := Report{Systems: []System{
		{System: cluster.Pontoon, Restarts: []Restart{{1, 2, Memory{10, 5}, Memory{8, 4}}, {3, 4, Memory{30, 15}, Memory{8, 4}}, {2, 3, Memory{20, 10}, Memory{8, 4}}}},
		{System: cluster.Etcd, Restarts: []Restart{{4, 6, Memory{40, 40}, Memory{16, 16}}}},
	}}
	r.summarize()
	if *r.Ratios != (Ratios{0.5, 0.5, 0.5, 0.25, 0.5, 0.25}) {
		t.Errorf("%+v", *r.Ratios)
	}
	if r.check(&Options{MaxTime: 0.5, MaxMemory: 0.5}) != nil || r.check(&Options{MaxTime: 0.4}) == nil || r.check(&Options{MaxMemory: 0.4}) == nil {
		t.Error("the bounds are not kept")
	}
}

func TestRefusesBadOptions(t *testing.T) {
	for _, o := range []Options{
		{Pontoon: "/does/not/exist"}, {Pontoon: "/", Keys: 3}, {Pontoon: "/", Txn: 129}, {Pontoon: "/", Restarts: -1}, {Pontoon: "/", Etcd: "/does/not/exist"},
	} {
		if _, err := Run(t.Context(), t.Output(), o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}
