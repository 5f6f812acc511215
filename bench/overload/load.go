package overload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// closedLimit bounds one put of a closed loop: a capped cluster is slow, not stuck.
const closedLimit = 30 * time.Second

// tick is how often the open loop sends what became due.
const tick = time.Millisecond

// Outcome counts the puts of a phase by how they ended, a second.
type Outcome struct {
	Offered float64 `json:"offered_per_second"`
	// Useful were answered in time, with the latencies of the summary.
	Useful  stat.Summary `json:"useful"`
	Refused float64      `json:"refused_per_second"` // ErrTooManyRequests
	Late    float64      `json:"late_per_second"`    // no answer in time
	Failed  float64      `json:"failed_per_second"`  // anything else
	Unsent  float64      `json:"unsent_per_second"`  // by clients that were late themselves
	Failure string       `json:"failure,omitempty"`  // the first of Failed
}

// tally is one client's counts.
type tally struct {
	useful                        stat.Histogram
	refused, late, failed, unsent int
	failure                       error
}

func (t *tally) add(err error, took, deadline time.Duration) {
	switch {
	case err == nil && took <= deadline:
		t.useful.Record(took)
	case err == nil, errors.Is(err, context.DeadlineExceeded), status.Code(err) == codes.DeadlineExceeded:
		t.late++
	case dial.TooMany(err):
		t.refused++
	default:
		if t.failed++; t.failure == nil {
			t.failure = err
		}
	}
}

func outcome(tallies []*tally, cell time.Duration) (o Outcome) {
	var all tally
	for _, t := range tallies {
		all.useful.Merge(&t.useful)
		all.refused, all.late, all.failed, all.unsent = all.refused+t.refused, all.late+t.late, all.failed+t.failed, all.unsent+t.unsent
		if all.failure == nil {
			all.failure = t.failure
		}
	}
	rate := func(n int) float64 { return float64(n) / cell.Seconds() }
	o = Outcome{Useful: all.useful.Summarize(cell), Refused: rate(all.refused), Late: rate(all.late), Failed: rate(all.failed), Unsent: rate(all.unsent)}
	o.Offered = o.Useful.PerSecond + o.Refused + o.Late + o.Failed + o.Unsent
	if all.failure != nil {
		o.Failure = all.failure.Error()
	}
	return o
}

// closed runs clients that send their next put when the last one was answered. A
// failed one is an error: nobody asks for too much here, but before the measured
// time something may still be left of those who did.
func (o *Options) closed(ctx context.Context, pool *dial.Pool, value string) (Outcome, error) {
	began := time.Now()
	from, to := began.Add(o.Warmup), began.Add(o.Warmup+o.Cell)
	tallies := make([]*tally, o.Clients)
	g, ctx := errgroup.WithContext(ctx)
	for i := range o.Clients {
		t, rng, c := new(tally), rand.New(rand.NewPCG(1, uint64(i))), pool.Client(i)
		tallies[i] = t
		g.Go(func() error {
			for {
				start := time.Now()
				if start.After(to) {
					return nil
				}
				one, cancel := context.WithTimeout(ctx, closedLimit)
				_, err := c.Put(one, keyName(rng.IntN(o.Keys)), value)
				cancel()
				end := time.Now()
				switch {
				case err != nil && (end.After(from) || !dial.TooMany(err)):
					return fmt.Errorf("a put below the peak: %w", err)
				case end.After(from) && end.Before(to):
					t.add(nil, end.Sub(start), closedLimit)
				}
			}
		})
	}
	err := g.Wait()
	return outcome(tallies, o.Cell), err
}

// open sends puts at a rate, whatever became of those before (I3). At most rate x
// deadline are on their way: the older ones were given up.
func (o *Options) open(ctx context.Context, pool *dial.Pool, value string, rate float64) Outcome {
	began := time.Now()
	from, to := began.Add(o.Warmup), began.Add(o.Warmup+o.Cell)
	tallies, locks := make([]*tally, pool.Len()), make([]sync.Mutex, pool.Len())
	for i := range tallies {
		tallies[i] = new(tally)
	}
	var wg sync.WaitGroup
	rng := rand.New(rand.NewPCG(3, 4))
	send := func(n int, due time.Time) {
		i := n % pool.Len()
		count := func(fn func(*tally)) {
			if due.Before(from) {
				return
			}
			locks[i].Lock()
			defer locks[i].Unlock()
			fn(tallies[i])
		}
		if time.Since(due) > o.Deadline {
			count(func(t *tally) { t.unsent++ })
			return
		}
		key := keyName(rng.IntN(o.Keys))
		wg.Go(func() {
			one, cancel := context.WithDeadline(ctx, due.Add(o.Deadline))
			defer cancel()
			_, err := pool.Client(i).Put(one, key, value)
			took := time.Since(due) // I2
			count(func(t *tally) { t.add(err, took, o.Deadline) })
		})
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 0; ctx.Err() == nil; <-ticker.C {
		now := time.Now()
		for ; ; n++ {
			due := began.Add(time.Duration(float64(n) / rate * float64(time.Second)))
			if due.After(now) || !due.Before(to) {
				break
			}
			send(n, due)
		}
		if !now.Before(to) {
			break
		}
	}
	wg.Wait()
	return outcome(tallies, o.Cell)
}

// fill writes every key once.
func (o *Options) fill(ctx context.Context, pool *dial.Pool, value string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(64, o.Clients))
	for n := range o.Keys {
		g.Go(func() error {
			if _, err := pool.Client(n).Put(ctx, keyName(n), value); err != nil {
				return fmt.Errorf("fill: %w", err)
			}
			return nil
		})
	}
	return g.Wait()
}
