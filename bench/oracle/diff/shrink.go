package diff

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// shrinkPatience is short, since a trial may wait for what never comes.
const shrinkPatience = 2 * time.Second

// Start starts fresh targets; stop ends them.
type Start func() (oracle, subject Target, stop func() error, err error)

// Execute runs a source on fresh targets.
func Execute(ctx context.Context, start Start, src Source, patience time.Duration, p *Progress) (executed []Op, diff *Difference, err error) {
	oracle, subject, stop, err := start()
	if err != nil {
		return nil, nil, err
	}
	executed, diff, err = Run(ctx, oracle, subject, src, patience, p)
	if diff != nil && subject.Logs != nil {
		diff.Logs = subject.Logs()
	}
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
// difference of the same class remains, until none can be left out or the budget is used up. Each trial
// runs on fresh targets. It returns the shortest sequence found and its difference.
func Shrink(ctx context.Context, start Start, ops []Op, diff *Difference, budget time.Duration) ([]Op, *Difference) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	return shrink(ctx, ops, diff, func(ops []Op) ([]Op, *Difference) {
		executed, d, err := Execute(ctx, start, Sequence(ops), shrinkPatience, new(Progress))
		if err != nil || d == nil || d.class() != diff.class() {
			return nil, nil // no verdict, no difference, or another one
		}
		return executed, d
	})
}

// shrink is the search of Shrink; try runs a candidate and returns what of it was
// executed, with the difference it shows or nil.
func shrink(ctx context.Context, ops []Op, diff *Difference, try func([]Op) ([]Op, *Difference)) ([]Op, *Difference) {
	// First whole kinds and whole watch streams, since most have no part in it.
	for _, cut := range cuts(ops) {
		candidate := slices.DeleteFunc(slices.Clone(ops), cut)
		if len(candidate) == len(ops) || ctx.Err() != nil {
			continue
		}
		if executed, d := try(candidate); d != nil {
			ops, diff = executed, d
		}
	}
	for size := max(1, len(ops)/2); ctx.Err() == nil; {
		removed := false
		// From the end: what lies before the difference without a part in it goes
		// in few pieces, and each success also shortens what is left to try.
		for end := len(ops); end > 0 && ctx.Err() == nil; end -= size {
			candidate := slices.Concat(ops[:max(0, end-size)], ops[end:])
			if executed, d := try(candidate); d != nil {
				ops, diff, removed = executed, d, true
				end = min(end, len(ops)+size)
			}
		}
		switch {
		case size > 1:
			size = max(1, min(size/2, len(ops)/2))
		case !removed:
			return ops, diff
		}
	}
	return ops, diff
}

// cuts are groups of operations to try to leave out as a whole.
func cuts(ops []Op) []func(Op) bool {
	kinds, streams := map[Kind]bool{}, map[int]bool{}
	for _, o := range ops {
		kinds[o.Kind] = true
		if o.onStream() {
			streams[o.N] = true
		}
	}
	cuts := []func(Op) bool{Op.readOnly}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		cuts = append(cuts, func(o Op) bool { return o.Kind == k })
	}
	for _, n := range slices.Sorted(maps.Keys(streams)) {
		cuts = append(cuts, func(o Op) bool { return o.onStream() && o.N == n })
	}
	return cuts
}
