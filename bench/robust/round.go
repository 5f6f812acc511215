package robust

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/verify"
)

// round is one stretch of load and faults between two quiet moments.
type round struct {
	n    int
	opts *Options
	c    *cluster.Cluster
	rec  *recorder
	base verify.Base
	// carried are unanswered requests of the round before: they may still land.
	carried []verify.Operation

	admin    *clientv3.Client // all endpoints
	watchers []*watcher
	faults   map[string]int
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
	if err := r.readBase(ctx); err != nil {
		return nil, nil, err
	}
	r.rec = newRecorder()

	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	var watches sync.WaitGroup
	if err := r.watch(watching, &watches); err != nil {
		return nil, nil, err
	}
	loadErr := r.load(ctx)
	through, stuck := r.settle(ctx)
	if loadErr != nil {
		stuck = append(stuck, verify.Violation{Check: "settle", Detail: loadErr.Error()})
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

// watch opens the watches: two over everything through single gateways, one
// that fails over, one that begins late and catches up, one partial.
func (r *round) watch(ctx context.Context, wg *sync.WaitGroup) error {
	all := r.c.Endpoints()
	at := func(i int) []string { return []string{all[i%len(all)]} }
	specs := []watchSpec{
		{name: "whole@0", endpoints: at(0), key: spanKey, end: spanEnd, prevKV: true},
		{name: "whole@1", endpoints: at(1), key: spanKey, end: spanEnd, prevKV: true},
		{name: "whole@any", endpoints: all, key: spanKey, end: spanEnd, prevKV: true},
		{name: "late@2", endpoints: at(2), key: spanKey, end: spanEnd, delay: r.opts.Round / 2, prevKV: true},
		{name: "later@any", endpoints: all, key: spanKey, end: spanEnd, delay: r.opts.Round * 4 / 5},
		{name: "part@2", endpoints: at(2), key: keyName(r.opts.Keys / 4), end: keyName(3 * r.opts.Keys / 4), prevKV: true},
		{name: "narrow@any", endpoints: all, key: keyName(1), end: keyName(2)},
	}
	for _, spec := range specs {
		w, err := openWatcher(spec, r.rec, r.base.Rev+1)
		if err != nil {
			return err
		}
		r.watchers = append(r.watchers, w)
		wg.Go(func() { w.loop(ctx, spec.delay) })
	}
	return nil
}

// load runs clients and nemesis for the length of the round.
func (r *round) load(ctx context.Context) error {
	loading, stop := context.WithTimeout(ctx, r.opts.Round)
	defer stop()
	var wg sync.WaitGroup
	interval := time.Duration(float64(r.opts.Clients) / r.opts.Rate * float64(time.Second))
	for i := range r.opts.Clients {
		kv, err := dial.Open(dial.Options{Endpoints: []string{r.c.Endpoints()[i%len(r.c.Endpoints())]}})
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
	n := &nemesis{c: r.c, rng: r.rng(1000), every: r.opts.FaultEvery, keys: r.opts.Keys, logger: r.opts.Logger, faults: map[string]int{}}
	r.faults = n.faults
	var err error
	if r.opts.FaultEvery > 0 {
		err = n.loop(loading)
	}
	wg.Wait()
	return err
}

// settle waits until every lease is gone and every watch has seen a last write.
// What does not come to rest in time is returned as violations.
func (r *round) settle(ctx context.Context) (verify.Revision, []verify.Violation) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.SettleLimit)
	defer cancel()
	var stuck []verify.Violation
	if err := poll(ctx, func() error { return r.noLeases(ctx) }); err != nil {
		stuck = append(stuck, verify.Violation{Check: "settle", Detail: err.Error()})
	}
	var through verify.Revision
	values := &serial{round: r.n, client: r.opts.Clients}
	err := poll(ctx, func() error {
		put := one(verify.Op{Kind: verify.OpPut, Key: spanKey + "~", Value: values.next()})
		resp, err := r.rec.do(ctx, r.admin, r.opts.Clients, put)
		through = resp.Rev
		return err
	})
	if err != nil {
		stuck = append(stuck, verify.Violation{Check: "settle", Detail: "last write: " + err.Error()})
	}
	for _, w := range r.watchers {
		if err := poll(ctx, func() error { return reached(w, through) }); err != nil {
			stuck = append(stuck, verify.Violation{Check: "settle", Detail: err.Error()})
		}
	}
	return through, stuck
}

func reached(w *watcher, through verify.Revision) error {
	covered, err := w.state()
	if err != nil || covered >= through {
		return err
	}
	return fmt.Errorf("watch %s is at %d of %d", w.stream.Name, covered, through)
}

func (r *round) noLeases(ctx context.Context) error {
	one, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := r.admin.Get(one, spanKey, clientv3.WithRange(spanEnd))
	if err != nil {
		return err
	}
	for _, kv := range resp.Kvs {
		if kv.Lease != 0 {
			return fmt.Errorf("%q still has lease %x, which nobody renews", kv.Key, kv.Lease)
		}
	}
	return nil
}

// poll tries until it succeeds or ctx ends and returns the last error.
func poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// judge checks the record. The second result is what remains unanswered.
func (r *round) judge(through verify.Revision, stuck []verify.Violation) (*RoundReport, []verify.Operation) {
	run := verify.Run{
		Base: r.base, Key: spanKey, End: spanEnd, Through: through,
		History: append(slices.Clone(r.carried), r.rec.history...), Leases: r.rec.leases,
	}
	for _, w := range r.watchers {
		s, err := w.result()
		if err != nil {
			stuck = append(stuck, verify.Violation{Check: "watch", Detail: err.Error()})
		}
		run.Streams = append(run.Streams, s)
	}
	began := time.Now()
	rep := &RoundReport{
		Round: r.n, Verdict: verify.Check(run, r.opts.SearchLimit),
		Refused: r.rec.refused, FailedReads: r.rec.failed, Leases: len(run.Leases),
		Faults: r.faults, LongestStallSeconds: r.rec.stall.Seconds(), CheckSeconds: time.Since(began).Seconds(),
	}
	rep.Violations = append(stuck, rep.Violations...)
	if !rep.OK() {
		rep.HistoryFile = filepath.Join(r.c.Dir(), fmt.Sprintf("round-%d.json", r.n))
		if err := saveJSON(rep.HistoryFile, run); err != nil {
			rep.HistoryFile = "not saved: " + err.Error()
		}
	}
	var open []verify.Operation
	for _, o := range r.rec.history {
		if o.Outcome == verify.Unknown {
			o.Call, o.Return = 0, 0
			open = append(open, o)
		}
	}
	return rep, open
}

func saveJSON(path string, v any) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(f).Encode(v); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
