package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/stat"
)

// done is what one operation did.
type done struct {
	bytes int64         // of keys and values written
	took  time.Duration // 0: all the time it ran; else the part that counts
}

// op sends one operation and checks its answer.
type op func(context.Context) (done, error)

// load is clients that each repeat an operation.
type load struct {
	clients int
	// client returns the operation of the i-th client.
	client func(ctx context.Context, i int, c *clientv3.Client, rng *rand.Rand) (op, error)
	// until ends the window early; nil: only time does.
	until <-chan struct{}
	// window instead of the target's; 0: the target's. least: not shorter than
	// this, for operations that take long.
	window, least time.Duration
	// stretch is how many of the target's windows make up one of this load; 0: one.
	stretch int
}

// phases of a loop.
const (
	warming int32 = iota
	counting
	ending
)

// looper is one run of a load.
type looper struct {
	phase  atomic.Int32
	failed atomic.Int64
	first  atomic.Pointer[error]
	end    context.CancelCauseFunc
	tally  []tally
}

type tally struct {
	latency stat.Histogram
	bytes   int64
}

// loop runs a load: warm-up, then the window in the meter.
func (t *Target) loop(ctx context.Context, l load) (*Outcome, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &looper{end: end, tally: make([]tally, l.clients)}
	ops := make([]op, l.clients)
	for i := range ops {
		var err error
		if ops[i], err = l.client(ctx, i, t.Clients.Client(i), rand.New(rand.NewPCG(t.Seed, uint64(i)))); err != nil {
			return nil, err
		}
	}
	var wg sync.WaitGroup
	for i := range ops {
		wg.Go(func() { r.repeat(ctx, ops[i], &r.tally[i]) })
	}
	out := &Outcome{}
	err := r.count(ctx, t, l, out)
	if err != nil {
		end(err)
	}
	r.phase.Store(ending)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	for i := range r.tally {
		out.Latency.Merge(&r.tally[i].latency)
		out.Bytes += r.tally[i].bytes
	}
	out.Ops, out.Errors = int64(out.Latency.Count()), r.failed.Load()
	if first := r.first.Load(); first != nil {
		out.Error = *first
	}
	return out, nil
}

// count lets the warm-up pass and then the window.
func (r *looper) count(ctx context.Context, t *Target, l load, out *Outcome) (err error) {
	window := l.window
	if window == 0 {
		window = max(time.Duration(max(1, l.stretch))*t.Window, l.least)
	}
	if !pause(ctx, t.Warmup, nil) {
		return context.Cause(ctx)
	}
	out.Elapsed, err = t.metered(ctx, func() error {
		r.phase.Store(counting)
		defer r.phase.Store(ending)
		if !pause(ctx, window, l.until) {
			return context.Cause(ctx)
		}
		return nil
	})
	return err
}

// pause waits and says whether ctx still lives.
func pause(ctx context.Context, d time.Duration, until <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-until:
	}
	return true
}

// afterError keeps a client whose requests fail at once from spinning.
const afterError = 10 * time.Millisecond

// repeat is one client. An operation counts in the phase in which it ends.
func (r *looper) repeat(ctx context.Context, do op, to *tally) {
	for r.phase.Load() != ending && ctx.Err() == nil {
		began := time.Now()
		d, err := do(ctx)
		took := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errWrong):
			r.end(err) // I2
			return
		case err != nil:
			r.failed.Add(1)
			r.first.CompareAndSwap(nil, &err)
			pause(ctx, afterError, nil)
		case r.phase.Load() == counting:
			if d.took > 0 {
				took = d.took
			}
			to.latency.Record(took)
			to.bytes += d.bytes
		}
	}
}

// workers run f for 0..n-1 and return the first error.
func (t *Target) workers(ctx context.Context, workers, n int, f func(ctx context.Context, i int, c *clientv3.Client) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i, t.Clients.Client(w)); err != nil {
					end(fmt.Errorf("fill: %w", err))
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
