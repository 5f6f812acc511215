package sidebyside

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// request sends the n-th request of one client.
type request func(ctx context.Context, c *clientv3.Client, key string) error

func put(value string) request {
	return func(ctx context.Context, c *clientv3.Client, key string) error {
		_, err := c.Put(ctx, key, value)
		return err
	}
}

func get(ctx context.Context, c *clientv3.Client, key string) error {
	resp, err := c.Get(ctx, key)
	if err == nil && len(resp.Kvs) != 1 {
		return fmt.Errorf("get %q: %d keys", key, len(resp.Kvs))
	}
	return err
}

// cell measures closed-loop clients: each sends its next request when the last
// was answered. Requests answered between warmup and end count.
func (o *Options) cell(ctx context.Context, pool *dial.Pool, clients int, do request) (stat.Summary, error) {
	began := time.Now()
	from, to := began.Add(o.Warmup), began.Add(o.Warmup+o.Cell)
	histograms := make([]stat.Histogram, clients)
	var failed atomic.Int64
	var firstErr atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range clients {
		rng := rand.New(rand.NewPCG(o.Seed, uint64(i)))
		c := pool.Client(i)
		wg.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				if start.After(to) {
					return
				}
				err := do(ctx, c, keyName(rng.IntN(o.Keys)))
				end := time.Now()
				switch {
				case err != nil:
					failed.Add(1)
					firstErr.CompareAndSwap(nil, &err)
				case end.After(from) && end.Before(to):
					histograms[i].Record(end.Sub(start))
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return stat.Summary{}, err
	}
	if n := failed.Load(); n > 0 { // I3
		return stat.Summary{}, fmt.Errorf("%d requests failed, the first: %w", n, *firstErr.Load())
	}
	var all stat.Histogram
	for i := range histograms {
		all.Merge(&histograms[i])
	}
	return all.Summarize(o.Cell), nil
}

// fill writes every key once.
func (o *Options) fill(ctx context.Context, pool *dial.Pool, value string) error {
	const writers = 64
	var next atomic.Int64
	errs := make(chan error, writers)
	for i := range writers {
		go func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= o.Keys {
					errs <- nil
					return
				}
				if _, err := pool.Client(i).Put(ctx, keyName(n), value); err != nil {
					errs <- fmt.Errorf("fill: %w", err)
					return
				}
			}
		}()
	}
	var first error
	for range writers {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}
