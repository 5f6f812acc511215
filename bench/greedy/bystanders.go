package greedy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/stat"
)

// Standing is what bystanders got in a phase.
type Standing struct {
	Outcome // as late as after they were due (I2)
	// The answered ones of the range that the greedy clients go for, and of others.
	SameRange   stat.Summary `json:"same_range"`
	OtherRanges stat.Summary `json:"other_ranges"`
}

func (s Standing) String() string {
	return fmt.Sprintf("%v\n                        in the greedy clients' range: p50 %.1f p99 %.1f ms, in others: p50 %.1f p99 %.1f ms",
		s.Outcome, s.SameRange.P50Ms, s.SameRange.P99Ms, s.OtherRanges.P50Ms, s.OtherRanges.P99Ms)
}

// stand runs all bystanders for the time of a phase. ask sends the n-th request
// of the i-th to a range.
func (o *Options) stand(ctx context.Context, ask func(ctx context.Context, i, n, to int) error) Standing {
	var all, same, others tally
	var wg sync.WaitGroup
	every := time.Duration(float64(o.Bystanders) / o.Rate * float64(time.Second))
	began := time.Now()
	for i := range o.Bystanders {
		first := began.Add(time.Duration(i) * every / time.Duration(o.Bystanders))
		wg.Go(func() {
			pace(ctx, first, every, began.Add(o.Cell), func(n int, when time.Time) {
				wg.Go(func() { // I2
					one, cancel := context.WithDeadline(ctx, when.Add(o.Limit))
					defer cancel()
					to, in := (i+n/2)%o.Ranges, &others // a put and a get in each range
					if to == o.targetRange() {
						in = &same
					}
					if err := ask(one, i, n, to); ctx.Err() == nil {
						took := time.Since(when)
						all.add(err, took)
						in.add(err, took)
					}
				})
			})
		})
	}
	wg.Wait()
	return Standing{all.outcome(o.Cell), same.outcome(o.Cell).Done, others.outcome(o.Cell).Done}
}

// bystander sends a put, then a linearizable get of its key.
func (b *bed) bystander(ctx context.Context, i, n, to int) (err error) {
	key := numbered(rangePrefix(to)+"bystander/", i)
	if n%2 == 0 {
		_, err = b.pool.Client(i).Put(ctx, key, b.value)
	} else {
		_, err = b.pool.Client(i).Get(ctx, key)
	}
	return err
}
