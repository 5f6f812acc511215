package scaleout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/bench/steer"
)

const (
	replicas     = 3
	movesAtOnce  = 8
	spreadWithin = 3 * time.Minute
	lookEvery    = 250 * time.Millisecond
)

// wanted is where the i-th range of the users' keys lies: its leader first.
func wanted(nodes []uint64, i int) []uint64 {
	var out []uint64
	for k := range min(replicas, len(nodes)) {
		out = append(out, nodes[(i+k)%len(nodes)])
	}
	return out
}

// spread deals out replicas and leaderships evenly and keeps placement from
// changing it (I2). It returns how many ranges each node leads, by name.
func spread(ctx context.Context, c *steer.Client, ranges int) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, spreadWithin)
	defer cancel()
	if err := c.Set(ctx, "balance_off", "true", "range_merge_bytes", "off", "split_busy", "off", "moves_per_node", "8"); err != nil {
		return nil, err
	}
	members, err := c.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	var nodes []uint64
	names := map[uint64]string{}
	for _, m := range members {
		nodes, names[m.ID] = append(nodes, m.ID), m.Name
	}
	slices.Sort(nodes)
	for {
		all, err := c.Ranges(ctx)
		if err != nil {
			return nil, err
		}
		if len(all) < ranges {
			return nil, fmt.Errorf("%d ranges of %d are known", len(all), ranges)
		}
		wrong := 0
		moving := movesAtOnce
		leads := map[string]int{}
		for _, r := range all {
			leads[names[r.Leader]]++
		}
		for i, r := range all[len(all)-ranges:] { // those of users' keys are last in key order
			if done, err := approach(ctx, c, &r, wanted(nodes, i), &moving); err != nil {
				return nil, err
			} else if !done {
				wrong++
			}
		}
		if wrong == 0 {
			return leads, nil
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d ranges are not where they should be: %w", wrong, ranges, ctx.Err())
		}
	}
}

// approach takes the next step towards where a range should be. A refusal is no
// fault: something is under way with the range.
func approach(ctx context.Context, c *steer.Client, r *steer.Range, want []uint64, moving *int) (done bool, err error) {
	if len(r.Learners) > 0 {
		*moving--
		return false, nil
	}
	for _, to := range want {
		if r.Has(to) {
			continue
		}
		if *moving--; *moving < 0 {
			return false, nil
		}
		for _, from := range r.Voters {
			if !slices.Contains(want, from) && from != r.Leader || len(r.Voters) == 1 {
				_, err := c.Move(ctx, r.ID, from, to)
				return false, harmless(ctx, err)
			}
		}
		// Only the leader is where nothing should be: it goes first.
		for _, to := range r.Voters {
			if slices.Contains(want, to) {
				return false, harmless(ctx, c.TransferLeader(ctx, r.ID, to))
			}
		}
		return false, nil
	}
	if r.Leader != want[0] {
		return false, harmless(ctx, c.TransferLeader(ctx, r.ID, want[0]))
	}
	return true, nil
}

// harmless drops errors of a step that is repeated anyway, until time is up.
func harmless(ctx context.Context, err error) error {
	if err == nil || steer.Refused(err) || ctx.Err() == nil {
		return nil
	}
	return err
}
