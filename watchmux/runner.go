package watchmux

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
	"github.com/pontoon-kv/pontoon/watchmux/merge"
)

const (
	firstRetry = 2 * time.Millisecond
	lastRetry  = time.Second
)

// runner keeps one part fed.
type runner struct {
	s      *Service
	part   *merge.Part
	cancel context.CancelFunc
	kick   context.CancelFunc    // ends the present feed; guarded by s.mu, as are the rest
	idle   int                   // sweeps without a watcher
	desc   *pontoonpb.Descriptor // where the present feed was opened

	pushed   proto.Revision // what the last refresh asked to be closed
	lag      int            // refreshes since closed reached it
	patience int
}

// startLocked spawns the runner of a new part.
func (s *Service) startLocked(p *merge.Part) {
	ctx, cancel := context.WithCancel(s.ctx)
	r := &runner{s: s, part: p, cancel: cancel, kick: func() {}, patience: firstPatience}
	s.runners[p] = r
	s.metrics.feeds.Inc()
	if !s.goLocked(func() { r.run(ctx) }) {
		cancel()
	}
}

// run opens the feed again and again, each time from the part's closed
// revision, until the part is split or removed (I1).
func (r *runner) run(ctx context.Context) {
	defer r.stop()
	retry := firstRetry
	for attempt := 0; ctx.Err() == nil && !r.removed(); {
		before := r.closed()
		feedCtx, kick := context.WithCancel(ctx)
		r.s.mu.Lock()
		r.kick = kick
		r.s.mu.Unlock()
		err := r.feed(feedCtx, attempt)
		lagged := feedCtx.Err() != nil
		kick()
		attempt++
		if r.closed() > before && !lagged {
			retry, attempt = firstRetry, 0
		}
		r.fail(err)
		r.s.metrics.rehomed.Inc()
		if !pause(ctx, jitter(retry)) {
			return
		}
		retry = min(2*retry, lastRetry)
	}
}

func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

func (r *runner) stop() {
	r.cancel()
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	delete(r.s.runners, r.part)
	r.s.metrics.feeds.Dec()
}

func (r *runner) removed() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.part.Removed()
}

func (r *runner) closed() proto.Revision {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.part.Closed()
}

// fail learns from why a feed ended.
func (r *runner) fail(err error) {
	var re *proto.RangeError
	if !errors.As(err, &re) {
		return
	}
	switch re.Code {
	case pontoonpb.RangeErrorCode_BELOW_FLOOR:
		r.s.mu.Lock()
		r.s.kernel.Compacted(r.part, proto.Revision(re.Floor))
		r.s.afterLocked()
		r.s.mu.Unlock()
	case pontoonpb.RangeErrorCode_RANGE_MISMATCH, pontoonpb.RangeErrorCode_RANGE_NOT_FOUND:
		r.s.ports.Ranges.Learn(r.part.Span(), re.Descriptors)
	}
}

// feed opens one feed and follows it to its end. A part that lies in several
// ranges by now is split instead.
func (r *runner) feed(ctx context.Context, attempt int) error {
	desc, err := r.home(ctx)
	if desc == nil {
		return err
	}
	r.s.mu.Lock()
	from := r.s.kernel.Drop(r.part)
	r.s.mu.Unlock()
	f, err := r.s.ports.Feeds.Open(ctx, desc, &pontoonpb.FeedRequest{
		RangeId: desc.RangeId, Span: r.part.Span().Wire(), From: int64(from)}, attempt)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		m, err := f.Recv(ctx)
		if err != nil {
			return err
		}
		over, lossyAt := r.take(m)
		if lossyAt > 0 {
			f.Close()
			return r.page(ctx, lossyAt)
		}
		if m.Ended != nil {
			return proto.FromWire(m.Ended)
		}
		if over {
			return nil
		}
	}
}

// take hands a message to the kernel. lossyAt: the part lost what is up to
// that closed revision and reads it from history.
func (r *runner) take(m *pontoonpb.FeedMessage) (over bool, lossyAt proto.Revision) {
	changes := merge.NewChanges(m.Events)
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.kernel.Deliver(r.part, changes)
	if c := m.Checkpoint; c != nil {
		r.s.kernel.Checkpoint(r.part, c)
		if r.part.Lossy() && proto.Revision(c.Closed) > r.part.Closed() {
			lossyAt = proto.Revision(c.Closed)
		}
	}
	r.s.afterLocked()
	return r.part.Removed(), lossyAt
}

// home returns the range that holds the part, or splits the part and returns
// nothing.
func (r *runner) home(ctx context.Context) (*pontoonpb.Descriptor, error) {
	span := r.part.Span()
	descs, err := r.s.ports.Ranges.Cover(ctx, span)
	if err != nil {
		return nil, err
	}
	if err := checkCover(span, descs); err != nil {
		return nil, err
	}
	if len(descs) == 1 {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		r.desc = descs[0]
		return descs[0], nil
	}
	var at [][]byte
	for _, d := range descs[:len(descs)-1] {
		at = append(at, bytes.Clone(d.Span.End))
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if !r.part.Removed() {
		for _, p := range r.s.kernel.SplitPart(r.part, at) {
			r.s.startLocked(p)
		}
		r.s.afterLocked()
	}
	return nil, nil
}

// page reads history up to closed into a part that lost its feed's events,
// page by page (P27).
func (r *runner) page(ctx context.Context, closed proto.Revision) error {
	span := r.part.Span()
	for {
		from := r.closed() + 1
		if from > closed {
			return nil
		}
		reply, err := r.s.ports.History.History(ctx, span, from, closed, r.s.opts.HistoryBytes)
		if err != nil {
			return err
		}
		r.s.metrics.pages.Inc()
		changes := merge.NewChanges(reply.Events)
		r.s.mu.Lock()
		r.s.kernel.Page(r.part, changes, proto.Revision(reply.Covered))
		r.s.afterLocked()
		r.s.mu.Unlock()
		if proto.Revision(reply.Covered) < from {
			return errors.New("watchmux: history did not advance")
		}
	}
}

// ensureParts makes parts for what of span has none (I1). initial is the
// revision above which new parts deliver.
func (s *Service) ensureParts(ctx context.Context, span proto.Span, initial proto.Revision) error {
	s.mu.Lock()
	missing := s.kernel.Missing(span)
	s.mu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	descs, err := s.ports.Ranges.Cover(ctx, span)
	if err != nil {
		return err
	}
	if err := checkCover(span, descs); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range descs {
		inside := proto.SpanOf(d.Span).Intersect(keys.UserSpan)
		for _, gap := range s.kernel.Missing(inside) {
			if !gap.Overlaps(span) {
				continue
			}
			gap = proto.Span{Start: bytes.Clone(gap.Start), End: bytes.Clone(gap.End)}
			s.startLocked(s.kernel.AddPart(gap, initial))
		}
	}
	return nil
}

// checkCover makes sure that descriptors hold all of span (P21).
func checkCover(span proto.Span, descs []*pontoonpb.Descriptor) error {
	at := span.Start
	for _, d := range descs {
		if !proto.SpanOf(d.Span).Contains(at) {
			return proto.Errorf(pontoonpb.RangeErrorCode_RANGE_MISMATCH, "watchmux: directory has a gap")
		}
		at = d.Span.End
	}
	if len(descs) == 0 || bytes.Compare(at, span.End) < 0 {
		return proto.Errorf(pontoonpb.RangeErrorCode_RANGE_MISMATCH, "watchmux: directory has a gap")
	}
	return nil
}
