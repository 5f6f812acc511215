package sequencer

import (
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// LimitApplied takes in the limit as the log says last, in log order (P6). It
// is set, not maximised: a hand-over lowers it.
func (k *Kernel) LimitApplied(now time.Time, limit proto.Revision) Output {
	var out Output
	limit = max(limit, proto.FirstRevision) // no record yet
	if k.term == 0 || limit == k.limit {
		return out
	}
	k.limit = limit
	if k.inflight == limit {
		k.inflight = 0
	}
	switch {
	case k.hand == proposed && limit == k.next-1:
		k.hand = handed
	case k.hand == resuming && limit >= k.resumeAt && k.resumeAt > 0:
		k.hand, k.resumeAt, k.lowered = granting, 0, false
	}
	k.settle(now, &out)
	return out
}

// PersistFailed reports that a limit on its way was refused, or that its fate
// is not known.
func (k *Kernel) PersistFailed(now time.Time, limit proto.Revision) Output {
	var out Output
	if k.term == 0 || k.inflight == 0 || k.inflight != limit {
		return out
	}
	k.inflight = 0
	if k.hand == proposed {
		// It may be in the log or not; either way only a raise that is
		// proposed later makes granting safe again.
		k.hand, k.resumeAt = resuming, 0
	}
	k.settle(now, &out)
	return out
}

// HandOver stops granting and asks for limit := next-1, so that the next
// leader goes on without a gap.
func (k *Kernel) HandOver(now time.Time) Output {
	var out Output
	if k.term == 0 || k.hand == wanted || k.hand == proposed || k.hand == handed {
		return out
	}
	k.hand, k.resumeAt = wanted, 0
	k.settle(now, &out)
	return out
}

// Resume makes a leader that stayed in office grant again, once a limit
// proposed after the hand-over is applied (P6).
func (k *Kernel) Resume(now time.Time) Output {
	var out Output
	switch {
	case k.hand == wanted && !k.lowered: // nothing was proposed yet
		k.hand = granting
	case k.hand == wanted, k.hand == handed:
		k.hand, k.resumeAt = resuming, 0
	}
	if k.term != 0 {
		k.settle(now, &out)
	}
	return out
}

// settle moves the hand-over on, answers what can be answered and keeps the
// limit ahead.
func (k *Kernel) settle(now time.Time, out *Output) {
	if k.hand == wanted && k.inflight == 0 {
		if k.limit == k.next-1 {
			k.hand = handed // the log says it already
		} else {
			k.hand, k.lowered = proposed, true
			k.propose(k.next-1, out)
		}
	}
	k.drain(out)
	k.raise(now, k.wanting(), out)
}

// raise asks for a higher limit when less than half a window is left, or when
// asks wait for wanting numbers.
func (k *Kernel) raise(now time.Time, wanting int64, out *Output) {
	if k.inflight != 0 || k.hand == wanted || k.hand == proposed || k.hand == handed {
		return
	}
	left := int64(k.limit - (k.next - 1))
	if k.hand == granting && left-wanting >= k.window.size/2 {
		return
	}
	to := k.next - 1 + proto.Revision(wanting+k.window.next(now))
	if k.hand == resuming {
		// Above every limit proposed before, so that its apply cannot be
		// mistaken for that of a raise ahead of the hand-over.
		to = max(to, k.highest+1)
		k.resumeAt = to
	}
	k.propose(max(to, k.limit+1), out)
}

func (k *Kernel) propose(limit proto.Revision, out *Output) {
	k.inflight = limit
	k.highest = max(k.highest, limit)
	out.Prev, out.Next = k.limit, limit
}
