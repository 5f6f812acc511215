package rangeraft

import (
	"context"
	"errors"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/feed"
	"github.com/pontoon-kv/pontoon/storage"
)

// OpenFeed subscribes to a local replica. The error is typed: RANGE_MISMATCH
// with the descriptors known, or RANGE_NOT_FOUND.
func (s *Store) OpenFeed(ctx context.Context, req *pontoonpb.FeedRequest) (Feed, error) {
	r, refused := s.lookup(&pontoonpb.RangeOp{RangeId: req.RangeId, Span: req.Span})
	if refused != nil {
		return nil, refused
	}
	r.hub.Advance(r.closed())
	span := proto.SpanOf(req.Span)
	sub, err := r.hub.Subscribe(span, proto.Revision(req.From), func() (feed.View, error) { return r.openFeedView(span) })
	if proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH) {
		err = proto.Mismatch(s.known(proto.SpanOf(req.Span))...)
	}
	if err != nil {
		return nil, err
	}
	s.closing.watch(r.id)
	r.hub.Advance(r.closed()) // what rose in between
	return sub, nil
}

// feedView is an engine view as the feed's catch-up scan wants it.
type feedView struct {
	v *storage.View
	r *Replica
}

// openFeedView takes the view of a scan, between two turns: within one an entry may
// be half applied (P36). What a raft snapshot took away would be missing from it, and
// closed all the same (P21, P23).
func (r *Replica) openFeedView(span proto.Span) (feed.View, error) {
	r.mu.Lock()
	v, err := r.s.opts.Engine.NewLongView()
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := holds(v, r.id, span); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return feedView{v, r}, nil
}

// Applied implements feed.View (P24, P41).
func (f feedView) Applied() (proto.Index, proto.Revision, error) {
	st, err := f.v.Applied(f.r.id)
	return st.Index, st.Floor, err
}

// Changes implements feed.View.
func (f feedView) Changes(span proto.Span, from, to proto.Revision, fn func(*pontoonpb.ChangeEvent) bool) error {
	return f.v.Changes(span, from, to, func(ver *storage.Version) (bool, error) {
		return fn(changeEvent(ver)), nil
	})
}

// Close implements feed.View.
func (f feedView) Close() {
	if err := f.v.Close(); err != nil {
		f.r.s.fault("close a view", err)
	}
}
