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
type Tally struct {
	Done, Refused atomic.Int64
	refusal       atomic.Pointer[error]
}

// Refusal is why the last one was refused, nil if none was.
func (t *Tally) Refusal() error {
	if err := t.refusal.Load(); err != nil {
		return *err
	}
	return nil
}

// note counts a change that has ended.
func (t *Tally) note(err error) {
	if err == nil {
		t.Done.Add(1)
		return
	}
	t.Refused.Add(1)
	t.refusal.Store(&err)
}

// maxSteering is how many changes are under way at once: they meet one another, too.
const maxSteering = 4

// steering is the changes of the subject's ranges that are under way.
type steering struct {
	running int
	ended   chan steered
}

func newSteering() steering { return steering{ended: make(chan steered, maxSteering)} }

// steered is a change that has ended.
type steered struct {
	kind  Kind
	tally *Tally
	err   error
}

// steer changes the subject's ranges while the operations go on.
func (r *Runner) steer(ctx context.Context, o Op) error {
	ranges := r.subject.Ranges
	if ranges == nil {
		return nil
	}
	if err := r.awaitSteering(ctx, maxSteering-1); err != nil {
		return err
	}
	s := steered{kind: o.Kind}
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
	r.steering.running++
	go func() {
		s.err = change()
		r.steering.ended <- s
	}()
	return nil
}

// awaitSteering takes note of what has ended and waits until at most so many changes
// are under way. A refused one is counted; it is an error when none of the first of
// its kind was accepted.
func (r *Runner) awaitSteering(ctx context.Context, atMost int) error {
	for r.steering.running > atMost || len(r.steering.ended) > 0 {
		select {
		case s := <-r.steering.ended:
			r.steering.running--
			s.tally.note(s.err)
			if s.tally.Refused.Load() >= refusalsTolerated && s.tally.Done.Load() == 0 {
				return fmt.Errorf("diff: no %s is accepted: %w", s.kind, s.err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
