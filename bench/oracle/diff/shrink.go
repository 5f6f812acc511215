package diff

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Start starts fresh targets; stop ends them.
type Start func() (oracle, subject Target, stop func() error, err error)

// Execute runs a source on fresh targets.
func Execute(ctx context.Context, start Start, src Source, p *Progress) (executed []Op, diff *Difference, err error) {
	oracle, subject, stop, err := start()
	if err != nil {
		return nil, nil, err
	}
	executed, diff, err = Run(ctx, oracle, subject, src, p)
	return executed, diff, errors.Join(err, stop())
}

// sequence is a source of given operations.
type sequence struct{ ops []Op }

// Sequence returns a source that yields the given operations.
func Sequence(ops []Op) Source { return &sequence{ops} }

func (s *sequence) Next(State) (Op, bool) {
	if len(s.ops) == 0 {
		return Op{}, false
	}
	o := s.ops[0]
	s.ops = s.ops[1:]
	return o, true
}

// Shrink removes operations from a sequence that shows a difference, as long as a
// difference remains, until none can be left out or the budget is used up. Each trial
// runs on fresh targets. It returns the shortest sequence found and its difference.
func Shrink(ctx context.Context, start Start, ops []Op, diff *Difference, budget time.Duration) ([]Op, *Difference) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	try := func(ops []Op) ([]Op, *Difference) {
		executed, d, err := Execute(ctx, start, Sequence(ops), new(Progress))
		if err != nil {
			return nil, nil // not a verdict
		}
		return executed, d
	}
	best, bestDiff := ops, diff
	for size := max(1, len(best)/2); ctx.Err() == nil; {
		removed := false
		// From the end, since what is close to the difference matters more often
		// and what is far from it can go in one piece.
		for end := len(best); end > 0 && ctx.Err() == nil; end -= size {
			candidate := slices.Concat(best[:max(0, end-size)], best[end:])
			if len(candidate) == 0 {
				continue
			}
			if executed, d := try(candidate); d != nil {
				best, bestDiff, removed = executed, d, true
				end = min(end, len(best)+size)
			}
		}
		switch {
		case size > 1:
			size = max(1, min(size/2, len(best)/2))
		case !removed:
			return best, bestDiff
		}
	}
	return best, bestDiff
}
