package scaleout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// requestLimit bounds one request: a capped cluster is slow, not stuck.
const requestLimit = 30 * time.Second

// mostFailed is the share of puts that may fail: so many clients ask nodes of so
// little CPU that on a slow machine some wait longer than a server lets them.
const mostFailed = 0.01

// Unanswered are puts without an answer, warm-up included.
type Unanswered struct {
	Refused int64 `json:"refused,omitempty"` // by an overloaded server, told to come again
	Failed  int64 `json:"failed,omitempty"`  // timed out, most likely
}

// tooMany tells whether that spoils a cell of so many answered puts.
func (u Unanswered) tooMany(answered int) bool {
	return float64(u.Failed) > mostFailed*float64(answered)
}

// window is told when the measured time begins and ends.
type window struct{ begin, end func() error }

// puts runs closed-loop clients: each sends its next put when the last one was
// answered. Puts answered between warm-up and end count.
func (o *Options) puts(ctx context.Context, pool *dial.Pool, value string, w window) (_ stat.Summary, u Unanswered, err error) {
	began := time.Now()
	from, to := began.Add(o.Warmup), began.Add(o.Warmup+o.Cell)
	histograms := make([]stat.Histogram, o.Clients)
	var failed, busy atomic.Int64
	var firstErr atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range o.Clients {
		rng, c := rand.New(rand.NewPCG(1, uint64(i))), pool.Client(i)
		wg.Go(func() {
			for ctx.Err() == nil && failed.Load() < int64(o.Clients) {
				start := time.Now()
				if start.After(to) {
					return
				}
				one, cancel := context.WithTimeout(ctx, requestLimit)
				_, err := c.Put(one, keyName(rng.IntN(o.Keys)), value)
				cancel()
				switch end := time.Now(); {
				case err != nil && dial.TooMany(err):
					busy.Add(1)
				case err != nil:
					failed.Add(1)
					firstErr.CompareAndSwap(nil, &err)
				case end.After(from) && end.Before(to):
					histograms[i].Record(end.Sub(start))
				}
			}
		})
	}
	err = at(ctx, from, w.begin)
	if err == nil {
		err = at(ctx, to, w.end)
	}
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return stat.Summary{}, u, ctx.Err()
	case err != nil:
		return stat.Summary{}, u, err
	}
	var all stat.Histogram
	for i := range histograms {
		all.Merge(&histograms[i])
	}
	sum := all.Summarize(o.Cell)
	u = Unanswered{Refused: busy.Load(), Failed: failed.Load()}
	if u.tooMany(sum.Count) { // I3
		return stat.Summary{}, u, fmt.Errorf("%d puts failed beside %d, the first: %w", u.Failed, sum.Count, *firstErr.Load())
	}
	return sum, u, nil
}

func at(ctx context.Context, when time.Time, do func() error) error {
	select {
	case <-time.After(time.Until(when)):
		return do()
	case <-ctx.Done():
		return ctx.Err()
	}
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
