package idle

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/steer"
)

// boundary is the first key of the i-th range.
func boundary(i int) string { return fmt.Sprintf("idle/%08d", i) }

// halves returns the boundaries 1 to n-1, level by level of a balanced tree:
// those of one level split different ranges, so they can go in parallel.
func halves(n int) (levels [][]int) {
	type part struct{ from, to int }
	for parts := []part{{0, n}}; len(parts) > 0; {
		var level []int
		var next []part
		for _, p := range parts {
			if p.to-p.from < 2 {
				continue
			}
			mid := (p.from + p.to) / 2
			level = append(level, mid)
			next = append(next, part{p.from, mid}, part{mid, p.to})
		}
		if len(level) > 0 {
			levels = append(levels, level)
		}
		parts = next
	}
	return levels
}

// spreadAt is how many ranges there are when their leaderships are dealt out:
// what is split from them stays where they are.
const spreadAt = 48

// split cuts the keyspace into n ranges, led by all nodes alike. Placement would
// merge them again, and balance them while they are measured.
func split(ctx context.Context, c *steer.Client, n, parallel int, done func(int)) error {
	if err := c.Set(ctx, "range_merge_bytes", "off", "balance_off", "true"); err != nil {
		return err
	}
	var count atomic.Int64
	for _, level := range halves(n) {
		g, together := errgroup.WithContext(ctx)
		g.SetLimit(parallel)
		for _, i := range level {
			g.Go(func() error {
				if err := splitAt(together, c, boundary(i)); err != nil {
					return fmt.Errorf("split at %q: %w", boundary(i), err)
				}
				done(int(count.Add(1)))
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if made := int(count.Load()); made >= spreadAt && made-len(level) < spreadAt {
			if err := c.DealOut(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// splitAt repeats what a busy machine did not do in time.
func splitAt(ctx context.Context, c *steer.Client, key string) error {
	for try := 0; ; try++ {
		one, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := c.Split(one, key)
		cancel()
		switch {
		case err == nil:
			return nil
		case steer.AlreadySplit(err):
			return nil // a try before had its way, of this loop or of the client's
		case steer.Refused(err), ctx.Err() != nil, try == 5:
			return err
		}
	}
}
