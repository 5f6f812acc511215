package steer

import (
	"context"
	"fmt"
	"time"
)

const (
	dealTries = 10
	dealPause = 200 * time.Millisecond
)

// Divide splits the keyspace at the keys, or knows that it is, and deals out the
// leaderships.
func (c *Client) Divide(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := c.Split(ctx, key); err != nil && !AlreadySplit(err) {
			return fmt.Errorf("split at %q: %w", key, err)
		}
	}
	return c.DealOut(ctx)
}

// DealOut gives each node as many leaderships as the others, as they lie in a
// cluster that has run for a while. A node that a busy machine did not let take
// over in time is asked again, a few times.
func (c *Client) DealOut(ctx context.Context) error {
	for try := 1; ; try++ {
		err := c.dealOnce(ctx)
		if err == nil || !Refused(err) || try == dealTries {
			return err
		}
		select {
		case <-time.After(dealPause):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Client) dealOnce(ctx context.Context) error {
	ranges, err := c.Ranges(ctx)
	if err != nil {
		return err
	}
	for i, r := range ranges {
		to := r.Voters[i%len(r.Voters)]
		if to == r.Leader || r.Root() {
			continue
		}
		if err := c.TransferLeader(ctx, r.ID, to); err != nil {
			return fmt.Errorf("leadership of range %d: %w", r.ID, err)
		}
	}
	return nil
}
