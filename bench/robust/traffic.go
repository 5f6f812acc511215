package robust

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/verify"
)

// The span of all checked operations.
const (
	SpanKey = spanKey
	SpanEnd = spanEnd
)

// KeyName is the i-th key of the checked clients.
func KeyName(i int) string { return keyName(i) }

// TrafficOptions of Traffic; all are needed.
type TrafficOptions struct {
	Seed     uint64
	Clients  int
	Keys     int
	Interval time.Duration // mean time between two requests of one client
	Gateways []string      // endpoints; client i is bound to the i-th, in turn
	// Open opens a client of some endpoints. It is called once per user.
	Open func(endpoints ...string) (*clientv3.Client, error)
	// SettleLimit bounds how long everything may take to come to rest.
	SettleLimit time.Duration
}

// Traffic is the checked load of one round, for a harness that does harm of its
// own: clients, watches and the record of what they saw.
type Traffic struct {
	o     TrafficOptions
	round *round

	stopLoad, stopWatches context.CancelFunc
	watching              context.Context
	load, watches         sync.WaitGroup

	mu      sync.Mutex
	clients []*clientv3.Client
}

// StartTraffic reads what is there, and begins. Nothing else may write keys of
// the span.
func StartTraffic(ctx context.Context, o TrafficOptions) (*Traffic, error) {
	t := &Traffic{o: o, round: &round{
		opts: &Options{Seed: o.Seed, Clients: o.Clients, Keys: o.Keys, SettleLimit: o.SettleLimit},
		rec:  newRecorder(),
	}}
	var err error
	if t.round.admin, err = t.open(o.Gateways...); err != nil {
		return nil, err
	}
	if err := t.round.readBase(ctx); err != nil {
		t.Close()
		return nil, err
	}
	var loading context.Context
	loading, t.stopLoad = context.WithCancel(context.WithoutCancel(ctx))
	t.watching, t.stopWatches = context.WithCancel(context.WithoutCancel(ctx))
	for i := range o.Clients {
		kv, err := t.open(pick(o.Gateways, i)...)
		if err != nil {
			t.Close()
			return nil, err
		}
		rng := t.round.rng(i)
		c := &client{
			id: i, kv: kv, rec: t.round.rec, rng: rng, keys: o.Keys, base: t.round.base.Rev,
			serial: &serial{client: i}, known: map[string]verify.KV{}, newest: t.round.base.Rev,
			lease: &leaseUser{kv: kv, rec: t.round.rec, rng: rng},
		}
		t.load.Go(func() { c.loop(loading, o.Interval) })
	}
	return t, nil
}

func (t *Traffic) open(endpoints ...string) (*clientv3.Client, error) {
	c, err := t.o.Open(endpoints...)
	if err == nil {
		t.mu.Lock()
		t.clients = append(t.clients, c)
		t.mu.Unlock()
	}
	return c, err
}

// Watch is one watch to begin.
type Watch struct {
	Name     string
	Client   *clientv3.Client
	Key, End string
	From     verify.Revision // 0: from the start of the traffic
	PrevKV   bool
}

// Watch begins a watch that lasts until Finish.
func (t *Traffic) Watch(w Watch) {
	if w.From == 0 {
		w.From = t.round.base.Rev + 1
	}
	watcher := newWatcher(watchSpec{name: w.Name, client: w.Client, key: w.Key, end: w.End, prevKV: w.PrevKV}, t.round.rec, w.From)
	t.mu.Lock()
	t.round.watchers = append(t.round.watchers, watcher)
	t.mu.Unlock()
	t.watches.Go(func() { watcher.loop(t.watching, 0) })
}

// Open opens a client that Close closes.
func (t *Traffic) Open(endpoints ...string) (*clientv3.Client, error) { return t.open(endpoints...) }

// Covered is the revision up to which every watch is known to be complete.
func (t *Traffic) Covered() verify.Revision {
	t.mu.Lock()
	defer t.mu.Unlock()
	lowest := verify.Revision(0)
	for _, w := range t.round.watchers {
		if covered, _ := w.state(); lowest == 0 || covered < lowest {
			lowest = covered
		}
	}
	return lowest
}

// Base is the revision that the history starts after.
func (t *Traffic) Base() verify.Revision { return t.round.base.Rev }

// Rand is a source of randomness for an actor of the harness; those below 1000
// are the clients'.
func (t *Traffic) Rand(actor int) *rand.Rand { return t.round.rng(actor) }

// Do sends a request on behalf of a client that is none of the traffic's own,
// and records it.
func (t *Traffic) Do(ctx context.Context, kv clientv3.KV, client int, req verify.Request) (verify.Response, error) {
	return t.round.rec.do(ctx, kv, client, req)
}

// StopClients ends the load; what is under way is finished.
func (t *Traffic) StopClients() {
	t.stopLoad()
	t.load.Wait()
}

// Finish waits until everything has come to rest, and returns what was seen and
// what did not come to rest in time. verify.Check judges the rest.
func (t *Traffic) Finish(ctx context.Context) (verify.Run, []verify.Violation) {
	through, stuck := t.round.settle(ctx)
	t.stopWatches()
	t.watches.Wait()
	rec := t.round.rec
	run := verify.Run{
		Base: t.round.base, Key: spanKey, End: spanEnd, Through: through,
		History: slices.Clone(rec.history), Leases: rec.leases,
	}
	for _, w := range t.round.watchers {
		s, err := w.result()
		if err != nil {
			stuck = append(stuck, verify.Violation{Check: "watch", Detail: fmt.Sprint(err)})
		}
		run.Streams = append(run.Streams, s)
	}
	return run, stuck
}

// Counts tells what came of requests that are not in the history: refusals by
// error, and reads without an answer.
func (t *Traffic) Counts() (refused map[string]int, failedReads int) {
	rec := t.round.rec
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.refused, rec.failed
}

// Close ends everything that Finish did not.
func (t *Traffic) Close() {
	if t.stopLoad != nil {
		t.stopLoad()
		t.stopWatches()
	}
	t.load.Wait()
	t.watches.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.clients {
		_ = c.Close()
	}
}
