package transport

import (
	"context"

	"golang.org/x/sync/semaphore"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// place is the room for a page that a call takes when it is about to read it.
type place struct {
	pages *semaphore.Weighted
	taken bool
}

type placeKey struct{}

// withPlace lets an operation that may be answered with a page of keys take room for
// it; nil for others.
func (t *Transport) withPlace(ctx context.Context, op *pontoonpb.RangeOp) (context.Context, *place) {
	if op.GetRead().GetMaxBytes() <= 0 {
		return ctx, nil
	}
	p := &place{pages: t.pages}
	return context.WithValue(ctx, placeKey{}, p), p
}

// TakePlace waits for room for the page that answers ctx's operation, if it may be a
// page (I1). A handler calls it when nothing else is left to wait for: who waits for a
// range that cannot answer must not keep others from reading.
func TakePlace(ctx context.Context) error {
	p, ok := ctx.Value(placeKey{}).(*place)
	if !ok || p.taken {
		return nil
	}
	if err := p.pages.Acquire(ctx, 1); err != nil {
		return unavailable("pages of other reads come first: %v", err)
	}
	p.taken = true
	return nil
}

// Local runs an operation for this node itself, whose pages count like those of
// others (I1).
func (t *Transport) Local(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	ctx, p := t.withPlace(ctx, op)
	reply := t.opts.Handler.Do(ctx, op)
	if p != nil && p.taken {
		t.pages.Release(1)
	}
	return reply
}
