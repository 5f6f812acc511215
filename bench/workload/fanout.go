package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/stat"
)

// fanoutWriters is how many events are on their way to all watchers at a time.
const fanoutWriters = 8

// fanout delivers every event to n watchers. Each writer puts its key again when
// all watchers have the event before.
func fanout(k *keyspace, size, watchers int) Workload {
	return Workload{
		Name: fmt.Sprintf("watch/fanout/w%d", watchers), Unit: "event",
		About: fmt.Sprintf("%d watchers of one prefix over all connections, %d writers that each wait until all have the event; latency from before the put to each watcher", watchers, fanoutWriters),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			ctx, end := context.WithCancelCause(ctx)
			defer end(nil)
			f := &fan{prefix: k.prefix + "fan/", watchers: int64(watchers), end: end}
			if err := f.open(ctx, t, watchers); err != nil {
				return nil, err
			}
			out, err := f.run(ctx, t, size)
			end(nil)
			f.reading.Wait()
			return out, err
		},
	}
}

type fan struct {
	prefix   string
	watchers int64
	end      context.CancelCauseFunc
	writers  [fanoutWriters]fanWriter
	shards   []fanShard // one per group of watchers
	counting atomic.Bool
	reading  sync.WaitGroup
}

// fanWriter is one writer's event on its way.
type fanWriter struct {
	sent     atomic.Int64 // when the put began, in nanoseconds
	arrived  atomic.Int64 // at how many watchers
	complete chan struct{}
}

// fanShard gathers latencies of some watchers.
type fanShard struct {
	mu      sync.Mutex
	latency stat.Histogram
}

const fanShards = 64

// open starts all watches and waits until the servers have them.
func (f *fan) open(ctx context.Context, t *Target, watchers int) error {
	f.shards = make([]fanShard, min(fanShards, watchers))
	for i := range f.writers {
		f.writers[i].complete = make(chan struct{}, 1)
	}
	created := make(chan struct{}, watchers)
	for i := range watchers {
		ch := t.Clients.Client(i).Watch(ctx, f.prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		shard := &f.shards[i%len(f.shards)]
		f.reading.Go(func() { f.read(ctx, ch, created, shard) })
	}
	for range watchers {
		select {
		case <-created:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// read is one watcher.
func (f *fan) read(ctx context.Context, ch clientv3.WatchChan, created chan<- struct{}, to *fanShard) {
	for resp := range ch {
		if err := resp.Err(); err != nil {
			f.end(fmt.Errorf("watch: %w", err))
			return
		}
		if resp.Created {
			created <- struct{}{}
		}
		now := time.Now().UnixNano()
		for _, ev := range resp.Events {
			i, err := strconv.Atoi(string(ev.Kv.Key[len(f.prefix):]))
			if err != nil || i >= len(f.writers) {
				f.end(wrong("event of %q", ev.Kv.Key))
				return
			}
			f.arrive(&f.writers[i], now, to)
		}
	}
	if ctx.Err() == nil {
		f.end(fmt.Errorf("a watch ended by itself"))
	}
}

func (f *fan) arrive(w *fanWriter, now int64, to *fanShard) {
	if f.counting.Load() {
		to.mu.Lock()
		to.latency.Record(time.Duration(now - w.sent.Load()))
		to.mu.Unlock()
	}
	if w.arrived.Add(1) == f.watchers {
		w.complete <- struct{}{}
	}
}

// run writes for the warm-up and the window.
func (f *fan) run(ctx context.Context, t *Target, size int) (*Outcome, error) {
	var wg sync.WaitGroup
	writing, stop := context.WithCancel(ctx)
	v := newValues(t.Seed, size)
	for i := range f.writers {
		wg.Go(func() {
			if err := f.write(ctx, writing, i, t.Clients.Client(i), v); err != nil {
				f.end(err)
			}
		})
	}
	pause(ctx, t.Warmup, nil)
	out := &Outcome{}
	var err error
	out.Elapsed, err = t.metered(ctx, func() error {
		f.counting.Store(true)
		defer f.counting.Store(false)
		pause(ctx, t.Window, nil)
		return context.Cause(ctx)
	})
	stop()
	if err != nil {
		f.end(err)
	}
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	for i := range f.shards {
		f.shards[i].mu.Lock()
		out.Latency.Merge(&f.shards[i].latency)
		f.shards[i].mu.Unlock()
	}
	out.Ops = int64(out.Latency.Count())
	return out, nil
}

// write is one writer: it begins nothing new once writing ends.
func (f *fan) write(ctx, writing context.Context, i int, c *clientv3.Client, v *values) error {
	rng := rand.New(rand.NewPCG(1, uint64(i)))
	w, key := &f.writers[i], f.prefix+strconv.Itoa(i)
	for writing.Err() == nil {
		w.arrived.Store(0)
		w.sent.Store(time.Now().UnixNano())
		if _, err := c.Put(ctx, key, v.next(rng)); err != nil {
			return err
		}
		select {
		case <-w.complete:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
