package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/steer"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

// shaker moves replicas, one after the other without a pause, and beside that
// splits ranges and transfers leaderships, a few a second.
type shaker struct {
	client *steer.Client
	seed   uint64
	turns  uint64
}

// shakePause lies between two commands that are not moves.
const shakePause = 200 * time.Millisecond

// Shake goes on until ctx ends.
func (s *shaker) Shake(ctx context.Context) (splits, moves, transfers int, err error) {
	s.turns++
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		rng := rand.New(rand.NewPCG(s.seed, 2*s.turns))
		return s.repeat(ctx, &moves, 0, func() error { return s.moveOne(ctx, rng) })
	})
	g.Go(func() error {
		rng := rand.New(rand.NewPCG(s.seed, 2*s.turns+1))
		return s.repeat(ctx, &splits, shakePause, func() error {
			if err := s.transferOne(ctx, rng); err == nil {
				transfers++
			} else if !steer.Refused(err) {
				return err
			}
			return s.client.Split(ctx, fmt.Sprintf("%s%08d", workload.KVPrefix, rng.IntN(workload.KVKeys)))
		})
	})
	err = g.Wait()
	return splits, moves, transfers, err
}

// repeat does something until ctx ends. What the cluster refuses, since placement
// is at the same range or the key is a boundary already, does not count.
func (s *shaker) repeat(ctx context.Context, count *int, pause time.Duration, do func() error) error {
	for ctx.Err() == nil {
		err := do()
		switch {
		case err == nil:
			*count++
		case ctx.Err() != nil:
			return nil // the end of the run cut it
		case !steer.Refused(err) && !errors.Is(err, errNotMoved):
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(pause, time.Millisecond)):
		}
	}
	return nil
}

// one draws a range that is not the root.
func (s *shaker) one(ctx context.Context, rng *rand.Rand) (steer.Range, error) {
	ranges, err := s.client.Ranges(ctx)
	if err != nil {
		return steer.Range{}, err
	}
	for {
		if r := ranges[rng.IntN(len(ranges))]; !r.Root() || len(ranges) == 1 {
			return r, nil
		}
	}
}

func (s *shaker) transferOne(ctx context.Context, rng *rand.Rand) error {
	r, err := s.one(ctx, rng)
	if err != nil {
		return err
	}
	return s.client.TransferLeader(ctx, r.ID, r.Voters[rng.IntN(len(r.Voters))])
}

// moveOne moves a replica to a node without one and waits until it is there, or
// not.
func (s *shaker) moveOne(ctx context.Context, rng *rand.Rand) error {
	r, err := s.one(ctx, rng)
	if err != nil {
		return err
	}
	nodes, err := s.client.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if r.Has(n.ID) {
			continue
		}
		operator, err := s.client.Move(ctx, r.ID, r.Voters[rng.IntN(len(r.Voters))], n.ID)
		if err != nil {
			return err
		}
		return s.wait(ctx, operator)
	}
	if len(r.Learners) > 0 {
		return errNotMoved // placement is moving it, so that it has one replica more
	}
	return fmt.Errorf("range %d has replicas on all %d nodes", r.ID, len(nodes))
}

// errNotMoved is a move that placement gave up, or that it is doing anyway.
var errNotMoved = errors.New("the move was given up")

// wait returns when an operator is over.
func (s *shaker) wait(ctx context.Context, id uint64) error {
	for {
		operators, err := s.client.Operators(ctx, true)
		if err != nil {
			return err
		}
		for _, op := range operators {
			if op.ID != id || !op.Over() {
				continue
			}
			if op.State != "done" {
				return errNotMoved
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
