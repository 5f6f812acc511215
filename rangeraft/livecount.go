package rangeraft

import (
	"log/slog"
	"sync"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// maxCountDeltas bounds the history of a range's live count.
const maxCountDeltas = 4096

// liveCounts knows how many keys of a whole range were live at a revision, as
// a view of some applied index shows it, without a scan (P42):
//
//	live(index, rev) = total - changes applied after index or made above rev
//
// Entries are applied in index order but revisions are not monotone along it:
// a txn's effects at 100 may be applied after 101.
type liveCounts struct {
	mu     sync.Mutex
	known  bool
	total  int64        // after everything noted, if known
	since  proto.Index  // what was applied after it is in deltas
	deltas []countDelta // in index order
	// before bounds the revisions of all that was applied up to since; 0: not
	// found out yet.
	before  proto.Revision
	pending *int64 // changes since a recount began; nil: none under way
}

type countDelta struct {
	index proto.Index
	rev   proto.Revision
	n     int64
}

// reset forgets the history: total keys are live at index, -1 for not known.
func (c *liveCounts) reset(index proto.Index, total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.total = total >= 0, max(total, 0)
	c.since, c.deltas, c.before, c.pending = index, nil, 0, nil
}

// applied notes an entry's effects, which changed the live count by delta.
func (c *liveCounts) applied(index proto.Index, effects []*pontoonpb.Effect, delta int64) {
	if len(effects) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += delta
	if c.pending != nil {
		*c.pending += delta
	}
	for i := 0; i < len(effects); {
		rev, n := effects[i].Rev, int64(0)
		for ; i < len(effects) && effects[i].Rev == rev; i++ {
			n += liveDelta(effects[i])
		}
		if effects[i-1].Kind == pontoonpb.EffectKind_EFFECT_DELETE_SPAN {
			n = delta // it is alone, and only apply knows how many keys it met
		}
		if rev > 0 && n != 0 {
			c.deltas = append(c.deltas, countDelta{index, proto.Revision(rev), n})
		}
	}
	if drop := len(c.deltas) - maxCountDeltas; drop > maxCountDeltas/4 {
		c.evict(drop)
	}
}

func liveDelta(e *pontoonpb.Effect) int64 {
	switch {
	case e.Kind == pontoonpb.EffectKind_EFFECT_PUT && e.Fresh:
		return 1
	case e.Kind == pontoonpb.EffectKind_EFFECT_DELETE && e.Fresh:
		return -1
	}
	return 0
}

// evict drops the oldest n deltas and what else their entries changed.
func (c *liveCounts) evict(n int) {
	last := c.deltas[n-1].index
	for n < len(c.deltas) && c.deltas[n].index == last {
		n++
	}
	for _, d := range c.deltas[:n] {
		if c.before > 0 {
			c.before = max(c.before, d.rev)
		}
	}
	c.since = last
	c.deltas = append([]countDelta(nil), c.deltas[n:]...)
}

// at returns the live count at rev as a view at index shows it. bound finds the
// highest revision that the view holds, and is called at most once in the life
// of a history. ok is false if only a scan can tell.
func (c *liveCounts) at(index proto.Index, rev proto.Revision, bound func() (proto.Revision, error)) (n int64, ok bool, err error) {
	c.mu.Lock()
	ready := c.known && index >= c.since
	asked := c.before == 0
	c.mu.Unlock()
	if !ready {
		return 0, false, nil
	}
	var found proto.Revision
	if asked {
		if found, err = bound(); err != nil {
			return 0, false, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || index < c.since {
		return 0, false, nil // a reset came between
	}
	if c.before == 0 {
		c.before = found
	}
	if rev < c.before {
		return 0, false, nil
	}
	n = c.total
	for i := len(c.deltas) - 1; i >= 0; i-- {
		if d := c.deltas[i]; d.index > index || d.rev > rev {
			n -= d.n
		}
	}
	return n, true, nil
}

// now returns the live count after everything noted, -1 if it is not known.
func (c *liveCounts) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return storage.LiveKeysUnknown
	}
	return c.total
}

// recounting names a recount under way.
type recounting *int64

// startRecount begins a count over a view of everything noted so far; nil if
// there is nothing to find out.
func (c *liveCounts) startRecount() recounting {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known || c.pending != nil {
		return nil
	}
	c.pending = new(int64)
	return c.pending
}

// finishRecount takes in what the view held; a negative count means that it
// could not be read. It returns the count now, false if the recount was
// overtaken by a reset: another one may be under way since, over another span.
func (c *liveCounts) finishRecount(which recounting, counted int64) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil || c.pending != which {
		return 0, false
	}
	if counted < 0 {
		c.pending = nil
		return 0, false
	}
	c.known, c.total = true, counted+*c.pending
	c.pending = nil
	return c.total, true
}

// count counts the live keys of a span at rev: a whole range from its counts
// where they can tell, anything else by a scan.
func (v *rangeView) count(span proto.Span, rev proto.Revision) (int64, error) {
	// Loaded after the view was taken, the descriptor is at least as new: counts
	// of a newer span know nothing of the view's index.
	whole := proto.SpanOf(v.r.desc.Load().GetSpan()).Intersect(keys.UserSpan)
	if span.Covers(whole) && !whole.Empty() {
		n, ok, err := v.r.counts.at(v.index, rev, func() (proto.Revision, error) { return v.newest(whole) })
		if ok || err != nil {
			return n, err
		}
	}
	return v.View.Count(span, rev)
}

// newest returns a bound of the revisions in the view that is the highest one
// or the closed revision.
func (v *rangeView) newest(span proto.Span) (proto.Revision, error) {
	highest := v.closed
	err := v.Changes(span, highest+1, storage.Latest, func(ver *storage.Version) (bool, error) {
		highest = max(highest, ver.ModRevision)
		return true, nil
	})
	return highest, err
}

// recount finds out the live count of a range that does not know it, after a
// split, in the background and one range of the store at a time. It is called
// on the worker, so that the view holds exactly what was noted.
func (r *Replica) recount() {
	if r.desc.Load() == nil {
		return
	}
	which := r.counts.startRecount()
	if which == nil {
		return
	}
	view, err := r.s.opts.Engine.NewLongView()
	if err != nil {
		r.s.fault("open a view to count", err)
		return
	}
	span := proto.SpanOf(r.desc.Load().Span).Intersect(keys.UserSpan)
	counted := r.s.background(func() {
		n, err := r.s.countOne(view, span)
		if err != nil && r.s.ctx.Err() == nil {
			r.log.Warn("live keys could not be counted", slog.Any("error", err))
		}
		r.post(func() {
			if total, ok := r.counts.finishRecount(which, n); ok {
				r.state.LiveKeys = total
			}
		})
	})
	if !counted {
		if err := view.Close(); err != nil {
			r.s.fault("close a view", err)
		}
	}
}

// countOne counts when its turn comes, and closes the view.
func (s *Store) countOne(view *storage.View, span proto.Span) (n int64, err error) {
	defer func() {
		if cerr := view.Close(); err == nil {
			err = cerr
		}
	}()
	select {
	case s.counting <- struct{}{}:
		defer func() { <-s.counting }()
	case <-s.ctx.Done():
		return -1, s.ctx.Err()
	}
	if n, err = view.Count(span, storage.Latest); err != nil {
		return -1, err
	}
	return n, nil
}
