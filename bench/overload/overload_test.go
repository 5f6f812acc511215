package overload

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/bench/cgroup"
	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/vitals"
)

// A small run. A gate of eight requests refuses most of what is offered: what it
// refuses is told apart, the lease and the leaders stay, and it recovers.
func TestOverload(t *testing.T) {
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
	rep, err := Run(t.Context(), t.Output(), Options{
		Pontoon: b.Path, Args: []string{"--max-requests-in-flight=8"}, CPU: 0.3, Clients: 4, Connections: 4, Ranges: 3, Keys: 64,
		Cell: time.Second, Warmup: 500 * time.Millisecond, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	x := rep.Results[0]
	t.Logf("%+v", x)
	if x.Peak.Useful.Count == 0 || x.Load.Useful.Count == 0 || x.After.Useful.Count == 0 || x.Load.Refused == 0 || x.Load.Failed != 0 {
		t.Errorf("peak %+v, load %+v, after %+v", x.Peak, x.Load, x.After)
	}
	if !x.Vitals.LeaseHeld || x.Vitals.ResidentMax == 0 {
		t.Errorf("%+v", x.Vitals)
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

// I2: how a put counts.
func TestTally(t *testing.T) {
	var c tally
	c.add(nil, time.Millisecond, time.Second)
	c.add(nil, 2*time.Second, time.Second)
	c.add(context.DeadlineExceeded, time.Second, time.Second)
	c.add(rpctypes.ErrTooManyRequests, time.Millisecond, time.Second)
	c.add(rpctypes.ErrGRPCRequestTooManyRequests, time.Millisecond, time.Second)
	c.add(errors.New("other"), time.Millisecond, time.Second)
	c.unsent++
	o := outcome([]*tally{&c, new(tally)}, time.Second)
	if o.Useful.Count != 1 || o.Late != 2 || o.Refused != 2 || o.Failed != 1 || o.Unsent != 1 || o.Offered != 7 || o.Failure != "other" {
		t.Errorf("%+v", o)
	}
}

func TestMissed(t *testing.T) {
	good := Result{System: cluster.Pontoon, Goodput: 0.9, Vitals: vitals.Vitals{LeaseHeld: true, ResidentMax: 1 << 20}}
	o := &Options{MinGoodput: 0.8, MaxResident: 2 << 20}
	for _, tc := range []struct {
		name   string
		change func(*Result)
		want   string // empty: nothing is missed
	}{
		{"good", func(*Result) {}, ""},
		{"etcd's are its own", func(r *Result) { r.System, r.Goodput = cluster.Etcd, 0 }, ""},
		{"goodput", func(r *Result) { r.Goodput = 0.7 }, "0.70 of the peak"},
		{"lease", func(r *Result) { r.Vitals.LeaseHeld = false }, "kept alive is gone"},
		{"leaders", func(r *Result) { r.Vitals.LeaderChanges = 1 }, "1 leaders"},
		{"terms", func(r *Result) { r.Vitals.TermChanges = 2 }, "2 terms"},
		{"memory", func(r *Result) { r.Vitals.ResidentMax = 3 << 20 }, "took 3 MiB"},
	} {
		r := good
		tc.change(&r)
		err := (&Report{Results: []Result{r}}).missed(o)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	for _, bad := range []Options{{Times: 11}, {Keys: 1}, {Deadline: -1}, {LeaseTTL: time.Millisecond}, {Nodes: -1}} {
		if err := bad.complete(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
