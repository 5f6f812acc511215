package greedy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// greedyLimit bounds one request of a greedy client: a capped cluster is slow,
	// not stuck.
	greedyLimit = 30 * time.Second
	// afterError keeps clients that are refused at once from spinning: they would
	// take the CPU that the bystanders need to look at their answers.
	afterError = 50 * time.Millisecond
)

// repeat runs clients that ask again as soon as they are answered, until ctx ends
// or most requests were sent.
func repeat(ctx context.Context, clients, most int, t *tally, ask func(ctx context.Context, client int) error) {
	var sent atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for sent.Add(1) <= int64(most) {
				began := time.Now()
				one, cancel := context.WithTimeout(ctx, greedyLimit)
				err := ask(one, i)
				cancel()
				if ctx.Err() != nil {
					return
				}
				if t.add(err, time.Since(began)); err != nil {
					pause(ctx, afterError)
				}
			}
		})
	}
	wg.Wait()
}
