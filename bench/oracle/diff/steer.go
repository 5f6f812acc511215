package diff

import (
	"context"
	"fmt"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// refusalsTolerated is how often a kind of steering may be refused before it must
// have been accepted once.
const refusalsTolerated = 20

// Ranges steers the ranges of a target. A pick chooses among what is possible. Each
// call returns when the target has accepted or refused.
type Ranges interface {
	// Split splits the range that holds key there.
	Split(ctx context.Context, key []byte) error
	// Merge merges a range with its right neighbour.
	Merge(ctx context.Context, pick int) error
	// Move moves a replica to a node that has none of its range.
	Move(ctx context.Context, pick int) error
	// Transfer moves the leadership of a range to another of its nodes.
	Transfer(ctx context.Context, pick int) error
	// LeaseTerm grows whenever the leadership over leases changes.
	LeaseTerm(ctx context.Context) (uint64, error)
}

// Tally counts how often something was done, and how often it was refused: the ranges
// are not what the generator takes them for.
type Tally struct{ Done, Refused atomic.Int64 }

// steering is a change of the subject's ranges that is under way.
type steering struct {
	kind  Kind
	tally *Tally
	done  chan error
}

// steer changes the subject's ranges while the operations go on, one change at a time.
func (r *Runner) steer(ctx context.Context, o Op) error {
	ranges := r.subject.Ranges
	if ranges == nil {
		return nil
	}
	if err := r.awaitSteering(ctx); err != nil {
		return err
	}
	s := &steering{kind: o.Kind, done: make(chan error, 1)}
	var change func() error
	switch o.Kind {
	case KindSplit:
		key := o.Msg.(*pb.RangeRequest).Key
		s.tally, change = &r.progress.Splits, func() error { return ranges.Split(ctx, key) }
	case KindMerge:
		s.tally, change = &r.progress.Merges, func() error { return ranges.Merge(ctx, o.N) }
	case KindMove:
		s.tally, change = &r.progress.Moves, func() error { return ranges.Move(ctx, o.N) }
	case KindTransfer:
		s.tally, change = &r.progress.Transfers, func() error { return ranges.Transfer(ctx, o.N) }
	}
	r.steering = s
	go func() { s.done <- change() }()
	return nil
}

// awaitSteering waits for the change under way. A refused one is counted; it is an
// error when none of the first was accepted.
func (r *Runner) awaitSteering(ctx context.Context) error {
	s := r.steering
	if s == nil {
		return nil
	}
	select {
	case err := <-s.done:
		r.steering = nil
		if err == nil {
			s.tally.Done.Add(1)
			return nil
		}
		if s.tally.Refused.Add(1) >= refusalsTolerated && s.tally.Done.Load() == 0 {
			return fmt.Errorf("diff: no %s is accepted: %w", s.kind, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
