package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/bench/steer"
)

// rest looks at a cluster that nobody disturbs any more: every range has a leader
// and all its replicas, and they are equal at one index.
func (out *Outcome) rest(ctx context.Context, c *cluster) {
	var ranges []steer.Range
	err := poll(ctx, func() (err error) {
		if ranges, err = c.steer.Ranges(ctx); err != nil {
			return err
		}
		return whole(ranges, min(3, len(c.members())))
	})
	if err != nil {
		out.broken("replication", err)
		return
	}
	for _, r := range ranges {
		if err := poll(ctx, func() error { return equal(ctx, c.steer, r.ID) }); err != nil {
			out.broken("checksum", fmt.Errorf("range %d: %w", r.ID, err))
		}
	}
}

// whole says what is missing: of the key space, of replicas, of leaders.
func whole(ranges []steer.Range, replicas int) error {
	var end []byte
	for i, r := range ranges {
		switch {
		case i > 0 && string(r.Start) != string(end):
			return fmt.Errorf("nothing between %q and %q", end, r.Start)
		case len(r.Voters) < replicas || len(r.Learners) > 0:
			return fmt.Errorf("range %d has %d voters and %d others", r.ID, len(r.Voters), len(r.Learners))
		case r.Leader == 0:
			return fmt.Errorf("range %d has no leader", r.ID)
		}
		end = r.End
	}
	if len(ranges) == 0 {
		return errors.New("there are no ranges")
	}
	return nil
}

func equal(ctx context.Context, s *steer.Client, id uint64) error {
	sums, same, err := s.Checksums(ctx, id)
	if err == nil && !same {
		err = fmt.Errorf("replicas differ: %+v", sums)
	}
	return err
}

// poll tries until it succeeds or ctx ends, and returns the last error.
func poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil || ctx.Err() != nil {
			return err
		}
		sleep(ctx, 100*time.Millisecond)
	}
}
