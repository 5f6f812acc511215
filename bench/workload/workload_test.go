package workload

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/dial"
)

// noMeter counts its calls.
type noMeter struct{ started, stopped int }

func (m *noMeter) Start(context.Context) error { m.started++; return nil }
func (m *noMeter) Stop(context.Context) error  { m.stopped++; return nil }

// idle is a target without a cluster.
func idle(t *testing.T, m Meter) *Target {
	t.Helper()
	pool, err := dial.OpenPool([]string{"127.0.0.1:1"}, 1) // never asked
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &Target{Clients: pool, Window: 50 * time.Millisecond, Warmup: 20 * time.Millisecond, Seed: 1, Meter: m}
}

func doing(f op) load {
	return load{clients: 2, client: func(context.Context, int, *clientv3.Client, *rand.Rand) (op, error) { return f, nil }}
}

// What ends in the warm-up does not count, and the window is what the meter saw.
func TestLoopCountsTheWindowOnly(t *testing.T) {
	m := &noMeter{}
	var all atomic.Int64
	out, err := idle(t, m).loop(t.Context(), doing(func(ctx context.Context) (done, error) {
		all.Add(1)
		pause(ctx, time.Millisecond, nil)
		return done{bytes: 3}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if out.Ops == 0 || out.Ops >= all.Load() || out.Bytes != 3*out.Ops || int64(out.Latency.Count()) != out.Ops {
		t.Errorf("%d of %d counted, %d bytes", out.Ops, all.Load(), out.Bytes)
	}
	if m.started != 1 || m.stopped != 1 || out.Elapsed < 50*time.Millisecond {
		t.Errorf("%+v, window of %v", m, out.Elapsed)
	}
}

func TestLoopTellsErrors(t *testing.T) {
	refused := errors.New("refused")
	out, err := idle(t, &noMeter{}).loop(t.Context(), doing(func(context.Context) (done, error) { return done{}, refused }))
	if err != nil || out.Errors == 0 || out.Ops != 0 || !errors.Is(out.Error, refused) {
		t.Errorf("%v, %+v", err, out)
	}
	// A wrong answer ends it at once (I2).
	began := time.Now()
	long := idle(t, &noMeter{})
	long.Window = time.Minute
	_, err = long.loop(t.Context(), doing(func(context.Context) (done, error) { return done{}, wrong("7 keys") }))
	if !errors.Is(err, errWrong) || !strings.Contains(err.Error(), "7 keys") || time.Since(began) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	// So does the end of its context (I4).
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err = long.loop(ctx, doing(func(ctx context.Context) (done, error) { <-ctx.Done(); return done{}, ctx.Err() })); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// Part of an operation can count instead of all of it.
func TestLoopTakesTheTimeThatCounts(t *testing.T) {
	out, err := idle(t, &noMeter{}).loop(t.Context(), doing(func(ctx context.Context) (done, error) {
		pause(ctx, 5*time.Millisecond, nil)
		return done{took: time.Microsecond}, nil
	}))
	if err != nil || out.Latency.Quantile(1) > 2*time.Microsecond {
		t.Errorf("%v, %v", err, out.Latency.Quantile(1))
	}
}

func TestChoices(t *testing.T) {
	k := newKeyspace("kv", 1600)
	draw := func(how choice) map[string]int {
		seen, next := map[string]int{}, k.chooser(how, rand.New(rand.NewPCG(1, 1)))
		for range 20000 {
			seen[next()]++
		}
		return seen
	}
	if n := len(draw(uniform)); n < 1590 {
		t.Errorf("uniform draws %d of 1600 keys", n)
	}
	hottest := draw(hot)
	for key := range hottest {
		if key < k.splits(16)[14] {
			t.Fatalf("hot draws %s, which is outside of the last range", key)
		}
	}
	if len(hottest) != 100 {
		t.Errorf("hot draws %d keys", len(hottest))
	}
	most, total := 0, 0
	for _, n := range draw(zipf) {
		most, total = max(most, n), total+n
	}
	if most < total/20 || most > total/2 {
		t.Errorf("the most popular key of zipf gets %d of %d", most, total)
	}
}

func TestCatalogue(t *testing.T) {
	for _, quick := range []bool{false, true} {
		seen := map[string]bool{}
		for _, g := range Catalog(quick) {
			if g.Name == "" || g.Nodes < 1 || len(g.Workloads) == 0 {
				t.Errorf("%+v", g)
			}
			for _, w := range g.Workloads {
				if seen[w.Name] || w.Unit == "" || w.About == "" || w.Run == nil {
					t.Errorf("%s, quick %v: repeated or incomplete", w.Name, quick)
				}
				seen[w.Name] = true
			}
			for _, key := range g.Splits {
				if !strings.HasPrefix(key, Prefix) && key < Prefix {
					t.Errorf("%s splits at %q", g.Name, key)
				}
			}
		}
	}
	for _, bad := range []Shape{{}, {Nodes: 3, Ranges: 16, Keys: 3, ValueSize: 1}, {Nodes: 1, Ranges: 1, Keys: 1, ValueSize: 1, Clients: []int{0}}, {Nodes: 1, Ranges: 1, Keys: 1, ValueSize: 2 << 20}} {
		if _, err := PutsAndGets(bad); err == nil {
			t.Errorf("%+v accepted", bad)
		}
	}
}

// Every workload, small and short, against one node: answers are as it expects,
// something ends in the window, and the connections still serve the next.
func TestEveryWorkloadRuns(t *testing.T) {
	c := clustertest.Start(t, clustertest.Subject(t), 1)
	pool, err := dial.OpenPool(c.Endpoints(), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	k, p := newKeyspace("kv", 400), newProbe("fresh", 2)
	target := &Target{Clients: pool, Window: 150 * time.Millisecond, Warmup: 30 * time.Millisecond, Seed: 1}
	if err := k.fill(64)(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	for _, w := range []Workload{
		put(k, uniform, 64, 4), put(k, zipf, 64, 4), put(k, hot, 64, 4), get(k, false, 4), get(k, true, 4),
		scan(k, 100, 2), list(k, 2), count(k, 2), cas(k, 64, 4), cross(k, 64, 4), deletePrefix(64, 2),
		grant(4), keepalive(4), revoke(k, 64, 4), attach(k, 64, 4),
		watchLatency(p), consistentList(p), fanout(k, 64, 20), elastic(k, 64, 4), compaction(k, 1000, 64, 4), defragmentation(k, 64, 4), kubernetes(100, 4),
	} {
		meter := &noMeter{}
		target.Meter = meter
		out, err := w.Run(t.Context(), target)
		if err != nil {
			t.Errorf("%s: %v", w.Name, err)
			continue
		}
		if out.Ops == 0 || out.Ops != int64(out.Latency.Count()) || out.Errors != 0 || meter.started == 0 || meter.started != meter.stopped {
			t.Errorf("%s: %d operations, %d errors, %v, meter %+v", w.Name, out.Ops, out.Errors, out.Elapsed, meter)
		}
		for _, a := range out.Aspects {
			if a.Latency.Count() == 0 {
				t.Errorf("%s: nothing in %s", w.Name, a.Name)
			}
		}
	}
}

// A store that loses keys is found out.
func TestWrongAnswersAreFound(t *testing.T) {
	c := clustertest.Start(t, clustertest.Subject(t), 1)
	pool, err := dial.OpenPool(c.Endpoints(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	k := newKeyspace("kv", 600)
	target := &Target{Clients: pool, Window: 100 * time.Millisecond, Seed: 1, Meter: &noMeter{}}
	if err := k.fill(64)(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	for _, key := range k.names[300:400] {
		if _, err := pool.Client(0).Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range []Workload{get(k, false, 4), get(k, true, 4), scan(k, 500, 2), list(k, 2), count(k, 2), cas(k, 64, 150)} {
		if _, err := w.Run(t.Context(), target); !errors.Is(err, errWrong) {
			t.Errorf("%s: %v", w.Name, err)
		}
	}
}
