package watchmux

import (
	"context"
	"errors"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/watchmux/merge"
)

// task brings one watcher from wherever it is to live.
type task struct {
	w       *merge.Watcher
	st      *stream
	created proto.Revision // header of the created response
	bulk    bool           // history was too long to join over: read and emit it first
	page    int64          // bytes of the next bulk page
	tooLong bool           // what it would hold above resolved is too much: wait for resolved
	retry   time.Duration
	queued  bool // waits for a worker, or has one, or is parked
}

const (
	firstPage  = 256 << 10
	roundLimit = 10 * time.Second
)

// enqueueLocked gives the task to a worker, unless it already has one.
func (s *Service) enqueueLocked(t *task) {
	if t.queued || t.w.Over() {
		return
	}
	t.queued = true
	s.metrics.behind.Inc()
	s.readyLocked(t)
}

func (s *Service) readyLocked(t *task) {
	s.ready = append(s.ready, t)
	if s.workers < s.opts.CatchUpWorkers && s.goLocked(s.work) {
		s.workers++
	}
}

// work runs tasks round by round, so that long histories take turns, until
// none is ready.
func (s *Service) work() {
	for {
		s.mu.Lock()
		if len(s.ready) == 0 || s.ctx.Err() != nil {
			s.workers--
			s.mu.Unlock()
			return
		}
		t := s.ready[0]
		s.ready[0] = nil
		s.ready = s.ready[1:]
		s.mu.Unlock()
		err := s.round(t)
		s.mu.Lock()
		s.afterRoundLocked(t, err)
		s.mu.Unlock()
	}
}

// settledLocked takes a task from the workers.
func (s *Service) settledLocked(t *task) {
	t.queued = false
	s.metrics.behind.Dec()
}

// afterRoundLocked decides how a task goes on.
func (s *Service) afterRoundLocked(t *task, err error) {
	var re *proto.RangeError
	switch {
	case t.w.Over() || t.w.Live() || t.st.ctx.Err() != nil:
		s.settledLocked(t)
	case errors.As(err, &re) && re.Code == pontoonpb.RangeErrorCode_BELOW_FLOOR:
		s.metrics.compacted.Inc()
		s.kernel.Compact(t.w, proto.Revision(re.Floor))
		s.settledLocked(t)
	case err != nil:
		t.retry = min(max(2*t.retry, firstRetry), lastRetry/4)
		if re != nil && re.Code == pontoonpb.RangeErrorCode_RANGE_MISMATCH {
			s.ports.Ranges.Learn(t.w.Span(), re.Descriptors)
		}
		time.AfterFunc(jitter(t.retry), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.readyLocked(t)
		})
	case !s.kernel.Room(t.st.group):
		t.st.parked = append(t.st.parked, t) // the sender brings it back
		t.st.wake()
	default:
		t.retry = 0
		s.readyLocked(t)
	}
	s.afterLocked()
}

// errNotYet asks for another round a little later.
var errNotYet = errors.New("watchmux: not yet")

// round takes one step: join with the history that is lacking, or a page of a
// long history.
func (s *Service) round(t *task) error {
	ctx, cancel := context.WithTimeout(t.st.ctx, roundLimit)
	defer cancel()
	now := max(t.created, s.ports.Sequencer.Seen())
	s.mu.Lock()
	initial := now
	if !t.w.Historic() {
		initial = min(t.w.Next()-1, now)
	}
	s.mu.Unlock()
	if err := s.ensureParts(ctx, t.w.Span(), initial); err != nil {
		return err
	}
	s.mu.Lock()
	if t.w.Over() || !s.kernel.Room(t.st.group) {
		s.mu.Unlock()
		return nil
	}
	low, ok := s.kernel.Resolved(t.w)
	if t.bulk && ok && low >= t.w.Next() {
		from := t.w.Next()
		s.mu.Unlock()
		return s.bulk(ctx, t, from, low, now)
	}
	if t.tooLong && ok && low < t.w.Next() {
		s.wish = max(s.wish, now)
		s.wakePusher()
		s.mu.Unlock()
		return errNotYet
	}
	needs, ok := s.kernel.Join(t.w, now)
	t.tooLong = ok && len(needs) == 0 && !t.w.Live() && s.kernel.Room(t.st.group)
	s.afterLocked()
	s.mu.Unlock()
	switch {
	case !ok:
		return errNotYet
	case len(needs) == 0:
		return nil
	default:
		return s.finish(ctx, t, needs, now)
	}
}

// finish reads what a joined watcher lacks and makes it live. If that is too
// much to hold, the watcher leaves again and reads in bulk.
func (s *Service) finish(ctx context.Context, t *task, needs []merge.Need, now proto.Revision) error {
	changes, complete, err := s.readNeeds(ctx, needs)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.afterLocked()
	if err == nil && complete {
		live := s.kernel.Finish(t.w, changes, now)
		t.tooLong = !live && s.kernel.Room(t.st.group)
		return nil
	}
	s.kernel.Leave(t.w)
	if err != nil {
		return err
	}
	low, ok := s.kernel.Resolved(t.w)
	if t.bulk = ok && low >= t.w.Next(); !t.bulk {
		t.tooLong = true
		return errNotYet // some part is behind: nothing could be emitted
	}
	t.page = firstPage
	return nil
}

// bulk reads and emits the next page of [from, to].
func (s *Service) bulk(ctx context.Context, t *task, from, to, now proto.Revision) error {
	changes, covered, err := s.readSpan(ctx, t.w.Span(), from, to, t.page)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.w.Over() {
		return nil
	}
	s.kernel.Bulk(t.w, changes, covered, now)
	t.bulk = covered < to
	t.page = min(2*t.page, s.opts.HistoryBytes)
	s.afterLocked()
	return nil
}

// readNeeds reads all pieces; complete is false if they are longer than
// HistoryBytes together.
func (s *Service) readNeeds(ctx context.Context, needs []merge.Need) ([]*merge.Change, bool, error) {
	var all []*merge.Change
	left := s.opts.HistoryBytes
	for _, n := range needs {
		for from := n.From; from <= n.To; {
			if left <= 0 {
				return nil, false, nil
			}
			changes, covered, err := s.readSpan(ctx, n.Span, from, n.To, left)
			if err != nil {
				return nil, false, err
			}
			for _, c := range changes {
				left -= int64(len(c.Event.Kv.Key) + len(c.Event.Kv.Value) + 64)
			}
			all = append(all, changes...)
			from = covered + 1
		}
	}
	return all, true, nil
}

// readSpan reads history of a span over any number of ranges: everything with
// from <= revision <= covered.
func (s *Service) readSpan(ctx context.Context, span proto.Span, from, to proto.Revision, maxBytes int64) ([]*merge.Change, proto.Revision, error) {
	descs, err := s.ports.Ranges.Cover(ctx, span)
	if err != nil {
		return nil, 0, err
	}
	if err := checkCover(span, descs); err != nil {
		return nil, 0, err
	}
	covered := to
	var all []*merge.Change
	for _, d := range descs {
		piece := proto.SpanOf(d.Span).Intersect(span)
		reply, err := s.readPiece(ctx, piece, from, covered, maxBytes)
		if err != nil {
			return nil, 0, err
		}
		if got := proto.Revision(reply.Covered); got < from {
			return nil, 0, errors.New("watchmux: history did not advance")
		} else if got < covered {
			covered = got
		}
		all = append(all, merge.NewChanges(reply.Events)...)
	}
	kept := all[:0]
	for _, c := range all {
		if c.Rev <= covered && c.Rev >= from {
			kept = append(kept, c)
		}
	}
	return kept, covered, nil
}

// readPiece reads from one range. A replica that is not closed far enough is
// pushed and asked again a few times.
func (s *Service) readPiece(ctx context.Context, span proto.Span, from, to proto.Revision, maxBytes int64) (*pontoonpb.HistoryReply, error) {
	retry := firstRetry
	for range 8 {
		reply, err := s.ports.History.History(ctx, span, from, to, maxBytes)
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_STALE_CLOSED) {
			if err == nil {
				s.metrics.pages.Inc()
			}
			return reply, err
		}
		s.ports.Closer.PushClosed(to)
		if !pause(ctx, retry) {
			return nil, ctx.Err()
		}
		retry *= 2
	}
	return nil, proto.Errorf(pontoonpb.RangeErrorCode_STALE_CLOSED, "watchmux: range did not close at %d", to)
}
