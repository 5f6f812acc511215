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
	// How long those took that were answered, from when they were sent: in the
	// range that the greedy clients go for, and in the others. A bystander asks one
	// thing at a time, so one slow range makes all that is due later.
	SameRange   stat.Summary `json:"sent_to_same_range"`
	OtherRanges stat.Summary `json:"sent_to_other_ranges"`
}

func (s Standing) String() string {
	return fmt.Sprintf("%v\n                        sent to the greedy clients' range: p50 %.1f p99 %.1f ms, to others: p50 %.1f p99 %.1f ms",
		s.Outcome, s.SameRange.P50Ms, s.SameRange.P99Ms, s.OtherRanges.P50Ms, s.OtherRanges.P99Ms)
}

// stand runs all bystanders for the time of a phase. ask sends the n-th request
// of the i-th to a range.
func (o *Options) stand(ctx context.Context, ask func(ctx context.Context, i, n, to int) error) Standing {
	var due, same, others tally
	var wg sync.WaitGroup
	every := time.Duration(float64(o.Bystanders) / o.Rate * float64(time.Second))
	began := time.Now()
	for i := range o.Bystanders {
		first := began.Add(time.Duration(i) * every / time.Duration(o.Bystanders))
		wg.Go(func() {
			pace(ctx, first, every, began.Add(o.Cell), func(n int, when time.Time) {
				one, cancel := context.WithDeadline(ctx, when.Add(o.Limit))
				defer cancel()
				sent, to, by := time.Now(), (i+n/2)%o.Ranges, &others // a put and a get in each range
				if to == o.targetRange() {
					by = &same
				}
				if err := ask(one, i, n, to); ctx.Err() == nil {
					due.add(err, time.Since(when)) // I2
					by.add(err, time.Since(sent))
				}
			})
		})
	}
	wg.Wait()
	return Standing{due.outcome(o.Cell), same.outcome(o.Cell).Done, others.outcome(o.Cell).Done}
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
