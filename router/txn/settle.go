package txn

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// settleFor bounds how long this process tries to finish a txn. After that the
// leaders of the ranges that it blocks do (P32).
const settleFor = 30 * time.Second

// settleLater finishes a txn in the background, or at once if too many wait.
func (c *Coordinator) settleLater(k *Kernel, o *Outcome) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.tasks.Add(1)
	c.mu.Unlock()
	task := func() {
		defer c.tasks.Done()
		ctx, cancel := context.WithTimeout(c.life, settleFor)
		defer cancel()
		if err := c.settleUntil(ctx, k, o); err != nil && c.life.Err() == nil {
			c.log.Warn("txn left for its ranges to finish", "txn", k.id.String(), "err", err)
		}
	}
	select {
	case c.settling <- struct{}{}:
		go func() {
			defer func() { <-c.settling }()
			task()
		}()
	default:
		task()
	}
}

func (c *Coordinator) settleUntil(ctx context.Context, k *Kernel, o *Outcome) error {
	for wait := time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := c.settle(ctx, k, o)
		if err == nil {
			return nil
		}
		if pause(ctx, wait) != nil {
			return err
		}
	}
}

// settle makes the txn's fate known to every range that it locked. Everything
// in it may be repeated. A txn that had not committed is aborted at the anchor
// before anything is unlocked (P29); a record is dropped only after every
// participant confirmed (P31).
func (c *Coordinator) settle(ctx context.Context, k *Kernel, o *Outcome) error {
	fate := &pontoonpb.ResolveOp{Txn: k.id, Commit: o.Committed, Revision: o.Record}
	anchorDone := o.Committed && !k.split // the commit entry did its own range
	if !o.Committed {
		op := abortOp(k.id, k.anchorKey())
		op.Span = keys.Point(k.anchorKey()).Wire()
		reply, err := c.sender.Send(ctx, op)
		if err != nil {
			return err
		}
		if r := reply.GetAbort().GetCommitted(); r != nil {
			fate.Commit, fate.Revision = true, r.Revision
		}
	}
	if fate.Commit {
		fate.Effects = copyEffects(k.decision.effects)
		etcdop.PatchEffects(fate.Effects, fate.Revision)
	}
	if err := c.resolveAll(ctx, k.groups, fate, anchorDone); err != nil {
		return err
	}
	if !fate.Commit {
		return nil
	}
	_, err := c.sender.Send(ctx, &pontoonpb.RangeOp{
		Span: keys.Point(k.anchorKey()).Wire(),
		Op:   &pontoonpb.RangeOp_Forget{Forget: &pontoonpb.ForgetOp{Txn: k.id, AnchorKey: k.anchorKey()}},
	})
	return err
}

// resolveAll resolves every group that may hold locks, in parallel.
func (c *Coordinator) resolveAll(ctx context.Context, gs []*group, fate *pontoonpb.ResolveOp, anchorDone bool) error {
	results := make(chan error, len(gs))
	sent := 0
	for i, g := range gs {
		if !g.touched || i == 0 && anchorDone {
			continue
		}
		sent++
		go func() { results <- c.resolve(ctx, g, fate) }()
	}
	var failed error
	for range sent {
		failed = errors.Join(failed, <-results)
	}
	return failed
}

// resolve tells a group's range, or the ranges that it became, each with all
// effects under the group's locks there: a range gives up a lock as a whole,
// however little of it was asked for.
func (c *Coordinator) resolve(ctx context.Context, g *group, fate *pontoonpb.ResolveOp) error {
	for todo := []proto.Span{g.hull}; len(todo) > 0; {
		span := todo[0]
		descs, err := c.sender.Cover(ctx, span)
		if err != nil {
			return err
		}
		todo = todo[1:]
		for _, d := range descs {
			piece := proto.SpanOf(d.Span).Intersect(span)
			locked := g.locksIn(piece)
			if len(locked) == 0 {
				continue
			}
			op := &pontoonpb.ResolveOp{Txn: fate.Txn, Commit: fate.Commit, Revision: fate.Revision}
			for _, e := range fate.Effects {
				if slices.ContainsFunc(locked, func(l proto.Span) bool { return l.Contains(e.Key) }) {
					op.Effects = append(op.Effects, e)
				}
			}
			_, err := c.sender.Send(ctx, &pontoonpb.RangeOp{
				Span: piece.Wire(), Op: &pontoonpb.RangeOp_Resolve{Resolve: op},
			})
			switch {
			case codeOf(err) == pontoonpb.RangeErrorCode_RANGE_MISMATCH:
				todo = append(todo, piece)
			case err != nil:
				return err
			}
		}
	}
	return nil
}

// locksIn returns what the group locked that reaches into span.
func (g *group) locksIn(span proto.Span) []proto.Span {
	var in []proto.Span
	for _, l := range g.locks {
		if s := proto.SpanOf(l.Span); span.Overlaps(s) {
			in = append(in, s)
		}
	}
	return in
}

// pause waits up to d, with jitter, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
