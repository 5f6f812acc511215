package txn

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// spanDeletion is the number of keys above which a deletion over ranges is one
// effect for each range instead of one for each key (P36).
const spanDeletion = 1000

// remove is the intent of a plain delete range. It counts under its locks
// first; a small deletion then goes the way of any write.
type remove struct {
	*write
	counted bool
}

// planDelete prepares a deletion that does not answer with the old values.
func (c *Coordinator) planDelete(ctx context.Context, d *pb.DeleteRangeRequest, w *write, wait bool) (*Kernel, error) {
	span := keys.UserRangeSpan(d.Key, d.RangeEnd)
	if span.Empty() {
		return c.plan(ctx, w, wait)
	}
	descs, err := c.sender.Cover(ctx, span)
	if err != nil {
		return nil, err
	}
	t := target{span: span, mode: pontoonpb.LockMode_LOCK_WRITE, read: true, count: true}
	return newKernel(c.newID(), &remove{write: w}, groups([]target{t}, descs), wait), nil
}

func (r *remove) decide(gs []*group) decision {
	if r.counted {
		return r.write.decide(gs)
	}
	r.counted = true
	var total int64
	var effects []*pontoonpb.Effect
	for _, g := range gs {
		if len(g.reply.Reads) != len(g.reads) {
			return decision{again: true}
		}
		n := g.reply.Reads[0].Count
		if n == 0 {
			continue
		}
		span := proto.SpanOf(g.locks[0].Span)
		effects = append(effects, &pontoonpb.Effect{
			Kind: pontoonpb.EffectKind_EFFECT_DELETE_SPAN, Key: span.Start, End: span.End,
			Rev: etcdop.Placeholder, Sub: total,
		})
		total += n
	}
	if total <= spanDeletion {
		return decision{fetch: total > 0, respond: deleted(0)}
	}
	return decision{effects: effects, number: true, respond: deleted(total)}
}

// deleted is the answer of a deletion of n keys.
func deleted(n int64) func(number int64) *pb.ResponseOp {
	return func(number int64) *pb.ResponseOp {
		if n == 0 {
			number-- // nothing changed: the revision before
		}
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{
			Header: &pb.ResponseHeader{Revision: number}, Deleted: n,
		}}}
	}
}
