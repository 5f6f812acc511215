package rangeraft

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// resolving keeps one resolution per txn at a time on this node.
type resolving struct {
	mu  sync.Mutex
	now map[txnName]struct{}
}

type txnName struct{ node, boot, counter uint64 }

func newResolving() *resolving { return &resolving{now: map[txnName]struct{}{}} }

func (g *resolving) begin(n txnName) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, busy := g.now[n]; busy {
		return false
	}
	g.now[n] = struct{}{}
	return true
}

func (g *resolving) end(n txnName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.now, n)
}

// resolveTxn finishes a txn whose locks were held too long (P32): its anchor
// aborts it unless it is committed, and then it is carried out everywhere.
func (s *Store) resolveTxn(id proto.RangeID, b evaluator.TxnBlocked) {
	name := txnName{b.Txn.GetNode(), b.Txn.GetBoot(), b.Txn.GetCounter()}
	if s.opts.Resolver == nil || !s.resolving.begin(name) {
		return
	}
	s.background(func() {
		defer s.resolving.end(name)
		ctx, cancel := s.deadline(10 * s.opts.electionTimeout())
		defer cancel()
		outcome, err := s.finishTxn(ctx, b)
		if err != nil {
			outcome = "failed"
			s.log.Warn("txn not resolved", slog.Uint64("range", uint64(id)), slog.Any("error", err))
		}
		s.metrics.resolved.WithLabelValues(outcome).Inc()
	})
}

func (s *Store) finishTxn(ctx context.Context, b evaluator.TxnBlocked) (string, error) {
	reply, err := s.send(ctx, &pontoonpb.RangeOp{
		Span: keys.Point(b.AnchorKey).Wire(),
		Op:   &pontoonpb.RangeOp_Abort{Abort: &pontoonpb.AbortOp{Txn: b.Txn, AnchorKey: b.AnchorKey}},
	})
	if err != nil {
		return "", err
	}
	rec := reply.GetAbort().GetCommitted()
	if rec == nil {
		return "aborted", s.resolveSpan(ctx, b.Span, &pontoonpb.ResolveOp{Txn: b.Txn})
	}
	commit := &pontoonpb.ResolveOp{Txn: b.Txn, Commit: true, Revision: rec.Revision, Effects: rec.Effects}
	err = s.resolveSpan(ctx, b.Span, commit) // what is blocked here goes first
	for _, p := range rec.Participants {
		err = errors.Join(err, s.resolveSpan(ctx, proto.SpanOf(p), commit))
	}
	if err != nil {
		return "", err
	}
	// Every participant confirmed: the record may go (P31).
	_, err = s.send(ctx, &pontoonpb.RangeOp{
		Span: keys.Point(b.AnchorKey).Wire(),
		Op:   &pontoonpb.RangeOp_Forget{Forget: &pontoonpb.ForgetOp{Txn: b.Txn, AnchorKey: b.AnchorKey}},
	})
	return "committed", err
}

// resolveSpan sends the outcome to every range that holds a part of span: what
// was one range when it was locked may be two now (P35).
func (s *Store) resolveSpan(ctx context.Context, span proto.Span, op *pontoonpb.ResolveOp) error {
	for part := span; !part.Empty(); {
		_, err := s.send(ctx, &pontoonpb.RangeOp{
			Span: part.Wire(), Op: &pontoonpb.RangeOp_Resolve{Resolve: op}})
		if err == nil {
			if bytes.Equal(part.End, span.End) {
				return nil
			}
			part = proto.Span{Start: part.End, End: span.End}
			continue
		}
		shorter, ok := clipToRange(part, err)
		if !ok {
			return err
		}
		part = shorter
	}
	return nil
}

// clipToRange cuts a refused span at the end of the range that holds its
// start, as the refusal tells it.
func clipToRange(span proto.Span, err error) (proto.Span, bool) {
	var re *proto.RangeError
	if !errors.As(err, &re) || re.Code != pontoonpb.RangeErrorCode_RANGE_MISMATCH {
		return span, false
	}
	for _, d := range re.Descriptors {
		r := proto.SpanOf(d.Span)
		if r.Contains(span.Start) && !r.Covers(span) {
			return span.Intersect(r), true
		}
	}
	return span, false
}

func (s *Store) send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	reply, err := s.opts.Resolver.Send(ctx, op)
	if err != nil {
		return nil, err
	}
	return reply, proto.FromWire(reply.GetError())
}
