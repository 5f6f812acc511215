package transport

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// answersPage reports whether an operation may be answered with a page of keys, which
// is as large as the asking node wants it.
func answersPage(op *pontoonpb.RangeOp) bool { return op.GetRead().GetMaxBytes() > 0 }

// Local runs an operation for this node itself, whose pages count like those of
// others (I1).
func (t *Transport) Local(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	if answersPage(op) {
		if err := t.pages.Acquire(ctx, 1); err != nil {
			return overdue(err)
		}
		defer t.pages.Release(1)
	}
	return t.opts.Handler.Do(ctx, op)
}

// overdue is the reply to an operation whose caller is gone before its turn came.
func overdue(err error) *pontoonpb.RangeReply {
	return &pontoonpb.RangeReply{Error: proto.ToWire(unavailable("pages of other reads come first: %v", err))}
}
