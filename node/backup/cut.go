package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

const (
	// cutTries is how often the ranges may change under the opening of sessions.
	cutTries = 20
	cutPause = 100 * time.Millisecond
	// learnAtOnce bounds the questions to leaders in flight.
	learnAtOnce = 16
)

// cut is one revision of all user keys, pinned.
type cut struct {
	revision, floor proto.Revision
	sessions        []session
}

func (c *cut) close() {
	for _, s := range c.sessions {
		if s != nil { // not opened
			s.close()
		}
	}
}

// pin takes a revision and pins the views of all ranges at it (B1, P44). Ranges that
// split, move or are compacted meanwhile make it begin anew at a newer one;
// nothing has been read by then.
func (s *Service) pin(ctx context.Context) (*cut, error) {
	l := &lessons{bad: map[proto.NodeID]int{}, fresh: map[proto.RangeID]*pontoonpb.Descriptor{}}
	var last error
	for range cutTries {
		c, err := s.tryPin(ctx, l)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		last = err
		s.opts.Logger.Debug("backup: pinning views again", "error", err)
		select {
		case <-time.After(cutPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("pin a view of every range: %w", last)
}

// lessons are what failed tries taught.
type lessons struct {
	bad   map[proto.NodeID]int                    // how often a node could not serve
	fresh map[proto.RangeID]*pontoonpb.Descriptor // as the ranges' leaders say
}

// correct replaces what the cache knows less well.
func (l *lessons) correct(ranges []*pontoonpb.Descriptor) {
	for i, d := range ranges {
		f := l.fresh[proto.RangeID(d.RangeId)]
		if f != nil && f.Generation > d.Generation && proto.SpanOf(f.Span).Equal(proto.SpanOf(d.Span)) {
			ranges[i] = f
		}
	}
}

func (s *Service) tryPin(ctx context.Context, l *lessons) (*cut, error) {
	rev, floor, err := s.opts.Sequencer.Current(ctx)
	if err != nil {
		return nil, err
	}
	ranges, err := s.opts.Ranges.Cover(ctx, keys.UserSpan)
	if err != nil {
		return nil, err
	}
	l.correct(ranges)
	shares, err := divide(s.opts.Node, keys.UserSpan, ranges, l.bad)
	if err != nil {
		return nil, err
	}
	c := &cut{revision: rev, floor: floor, sessions: make([]session, len(shares))}
	failed := make([]error, len(shares))
	var g errgroup.Group
	for i, sh := range shares {
		g.Go(func() error {
			c.sessions[i], failed[i] = s.open(ctx, rev, sh)
			return failed[i]
		})
	}
	if err := g.Wait(); err != nil {
		for i, sh := range shares {
			if failed[i] != nil {
				s.learn(ctx, sh, failed[i], l)
			}
		}
		c.close()
		return nil, err
	}
	for _, v := range c.sessions {
		c.floor = max(c.floor, v.floor())
	}
	if c.floor > c.revision {
		c.close()
		return nil, fmt.Errorf("compacted at revision %d, above %d", c.floor, c.revision)
	}
	for _, v := range c.sessions {
		if err := v.start(c.floor); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (s *Service) open(ctx context.Context, rev proto.Revision, sh share) (session, error) {
	if sh.node == s.opts.Node {
		view, err := s.opts.Store.Open(ctx, rev, sh.parts)
		if err != nil {
			return nil, err
		}
		return &localSession{view: view}, nil
	}
	conn, err := s.opts.Peers.Conn(sh.node)
	if err != nil {
		return nil, err
	}
	return openRemote(ctx, conn, sh.wire(s.opts.ClusterID, rev))
}

// learn makes the next try differ: a node that cannot serve comes last, and the
// leaders of its ranges are asked where they are. One that split answers with a
// refusal, which the cache of ranges takes in.
func (s *Service) learn(ctx context.Context, sh share, err error, l *lessons) {
	var re *proto.RangeError
	if !errors.As(err, &re) || re.Code == pontoonpb.RangeErrorCode_UNAVAILABLE {
		l.bad[sh.node]++
		return
	}
	answers := make([]*pontoonpb.Descriptor, len(sh.parts))
	var g errgroup.Group
	g.SetLimit(learnAtOnce)
	for i, p := range sh.parts {
		g.Go(func() error {
			reply, err := s.opts.Ranges.Send(ctx, &pontoonpb.RangeOp{
				Span: p.Span.Wire(), Op: &pontoonpb.RangeOp_Status{Status: &pontoonpb.StatusOp{}},
			})
			if err == nil {
				answers[i] = reply.GetStatus().GetDesc()
			}
			return nil
		})
	}
	_ = g.Wait() // no answer teaches nothing
	for _, d := range answers {
		if d != nil {
			l.fresh[proto.RangeID(d.RangeId)] = d
		}
	}
}
