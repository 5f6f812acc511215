package robust

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/steer"
	"github.com/pontoon-kv/pontoon/bench/verify"
)

// round is one stretch of load and faults between two quiet moments.
type round struct {
	n     int
	opts  *Options
	c     *cluster.Cluster
	steer *steer.Client // nil for etcd
	deck  *deck         // of faults
	rec   *recorder
	base  verify.Base
	// carried are unanswered requests of the round before: they may still land.
	carried []verify.Operation

	// elastic changes the cluster in this round, nil in the other modes. Clients
	// and watches bound to one gateway keep away from the node that it takes away.
	elastic   *elastic
	compactAt verify.Revision // what is dropped at the beginning; 0: up to the base

	admin    *clientv3.Client // all endpoints
	watchers []*watcher
	nemesis  *nemesis
}

// rng gives every actor a source of its own, all from the seed (I1).
func (r *round) rng(actor int) *rand.Rand {
	return rand.New(rand.NewPCG(r.opts.Seed, uint64(r.n)<<32|uint64(actor)))
}

// play runs the round and judges it.
func (r *round) play(ctx context.Context) (*RoundReport, []verify.Operation, error) {
	admin, err := dial.Open(dial.Options{Endpoints: r.c.Endpoints()})
	if err != nil {
		return nil, nil, err
	}
	defer admin.Close()
	r.admin = admin
	r.nemesis = &nemesis{c: r.c, deck: r.deck, steer: r.steer, rng: r.rng(1000), every: r.opts.FaultEvery,
		keys: r.opts.Keys, logger: r.opts.Logger, faults: map[string]int{}}
	if r.opts.Mode.moves() {
		r.elastic = newElastic(r.opts.Mode, r.c, r.steer, r.nemesis, r.n)
	}
	if err := r.readBase(ctx); err != nil {
		return nil, nil, err
	}
	compacted := r.compact(ctx)
	r.rec = newRecorder()

	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	var watches sync.WaitGroup
	closeWatches, err := r.watch(watching, &watches)
	if err != nil {
		return nil, nil, err
	}
	defer closeWatches()
	loadErr := r.load(ctx)
	through, stuck := r.settle(ctx)
	for _, err := range []error{compacted, loadErr} {
		if err != nil {
			stuck = append(stuck, verify.Violation{Check: "settle", Detail: err.Error()})
		}
	}
	if len(stuck) > 0 {
		r.dump()
	}
	for _, err := range r.c.Crashes() { // the run ends with the first round that has one
		stuck = append(stuck, verify.Violation{Check: "crash", Detail: err.Error()})
	}
	if l := r.c.Links(); l != nil && l.Strangers() > 0 {
		stuck = append(stuck, verify.Violation{Check: "links", Detail: fmt.Sprintf(
			"%d connections came from unknown processes and were not cut (needs Linux and /proc)", l.Strangers())})
	}
	stopWatching()
	watches.Wait()
	report, open := r.judge(through, stuck)
	return report, open, ctx.Err()
}

func (r *round) readBase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.SettleLimit)
	defer cancel()
	resp, err := send(ctx, r.admin, one(get(spanKey, spanEnd)))
	if err != nil {
		return fmt.Errorf("read the base of round %d: %w", r.n, err)
	}
	r.base = verify.Base{Rev: resp.Rev, KVs: resp.Results[0].KVs}
	return nil
}

// watch opens the watches: whole ones through single gateways and failing over,
// late ones that catch up, and partial ones, some of them on one stream.
func (r *round) watch(ctx context.Context, wg *sync.WaitGroup) (closeAll func(), err error) {
	var clients []*clientv3.Client
	closeAll = func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}
	all, stay := r.c.Endpoints(), r.staying()
	// Clients 0 to 2 are bound to a gateway, 3 to 5 have all; the last two share
	// one stream between several watches.
	for i := range 8 {
		endpoints := all
		if i < 3 || i == 6 {
			endpoints = pick(stay, i)
		}
		c, err := dial.Open(dial.Options{Endpoints: endpoints})
		if err != nil {
			closeAll()
			return nil, err
		}
		clients = append(clients, c)
	}
	key := func(share int) string { return keyName(share * r.opts.Keys / 4) }
	for _, spec := range []watchSpec{
		{name: "whole@0", client: clients[0], key: spanKey, end: spanEnd, prevKV: true},
		{name: "whole@1", client: clients[1], key: spanKey, end: spanEnd, prevKV: true},
		{name: "late@2", client: clients[2], key: spanKey, end: spanEnd, delay: r.opts.Round / 2, prevKV: true},
		{name: "whole@any", client: clients[3], key: spanKey, end: spanEnd, prevKV: true},
		{name: "later@any", client: clients[4], key: spanKey, end: spanEnd, delay: r.opts.Round * 4 / 5},
		{name: "narrow@any", client: clients[5], key: keyName(1), end: keyName(2)},
		{name: "low@0 shared", client: clients[6], key: key(0), end: key(2), prevKV: true},
		{name: "middle@0 shared", client: clients[6], key: key(1), end: key(3)},
		{name: "late high@0 shared", client: clients[6], key: key(2), end: spanEnd, delay: r.opts.Round / 3, prevKV: true},
		{name: "low@any shared", client: clients[7], key: key(0), end: key(1)},
		{name: "rest@any shared", client: clients[7], key: key(1), end: "\x00", prevKV: true},
	} {
		w := newWatcher(spec, r.rec, r.base.Rev+1)
		r.watchers = append(r.watchers, w)
		wg.Go(func() { w.loop(ctx, spec.delay) })
	}
	return closeAll, nil
}

// load runs clients and nemesis for the length of the round.
func (r *round) load(ctx context.Context) error {
	loading, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.AfterFunc(r.opts.Round, stop)
	var wg sync.WaitGroup
	stay := r.staying()
	interval := time.Duration(float64(r.opts.Clients) / r.opts.Rate * float64(time.Second))
	for i := range r.opts.Clients {
		endpoints := pick(stay, i)
		if r.elastic != nil && i%3 == 2 {
			endpoints = r.c.Endpoints()
		}
		kv, err := dial.Open(dial.Options{Endpoints: endpoints})
		if err != nil {
			return err
		}
		rng := r.rng(i)
		c := &client{
			id: i, kv: kv, rec: r.rec, rng: rng, keys: r.opts.Keys, base: r.base.Rev,
			serial: &serial{round: r.n, client: i}, known: map[string]verify.KV{}, newest: r.base.Rev,
			lease: &leaseUser{kv: kv, rec: r.rec, rng: rng},
		}
		wg.Go(func() {
			defer kv.Close()
			c.loop(loading, interval)
		})
	}
	n := r.nemesis
	var err error
	switch {
	case r.elastic != nil:
		// What the round does to the nodes is done under load, however long it takes.
		timer.Stop()
		err = r.elastic.play(ctx, n, r.opts.Round)
		stop()
		err = errors.Join(err, n.healed(ctx))
	case r.opts.FaultEvery > 0:
		err = n.loop(loading)
	}
	wg.Wait()
	return err
}

// staying are the endpoints of nodes that are not taken away in this round.
func (r *round) staying() []string {
	var out []string
	for _, n := range r.c.Nodes() {
		if r.elastic == nil || r.elastic.victim != n {
			out = append(out, n.Endpoint)
		}
	}
	return out
}

// pick takes one endpoint, in turn.
func pick(endpoints []string, i int) []string {
	return endpoints[i%len(endpoints) : i%len(endpoints)+1]
}
