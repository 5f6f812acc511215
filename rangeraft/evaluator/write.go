package evaluator

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// evalWrite evaluates a put, a deletion or a txn.
func (e *Evaluator) evalWrite(b *batch, r *request, op *pontoonpb.WriteOp) (*member, error) {
	for _, a := range etcdop.Footprint(op.Request) {
		if !e.span.Covers(a.Span) {
			return nil, e.mismatch()
		}
		if err := e.free(txnKey{}, a.Span, a.Write); err != nil {
			return nil, err
		}
		// Whether a lease that is being revoked exists is not known, even if nothing
		// is attached to it in the end (P37).
		if err := e.freeOfLease(txnKey{}, a.Span, a.Lease); err != nil {
			return nil, err
		}
	}
	if large, err := e.isLargeDelete(r, op.Request); err != nil {
		return nil, err
	} else if large {
		return e.evalSpanDelete(b, op.Request.GetRequestDeleteRange())
	}
	result, err := etcdop.Eval(&view{e: e, b: b, r: r}, b.placeholder(), op.Request)
	if err != nil {
		return nil, err
	}
	if err := e.freeEffects(txnKey{}, result.Effects); err != nil {
		return nil, err
	}
	e.registerUsed(b, result.Effects)
	e.write(b, result.Effects...)
	if result.Mutates {
		b.numbers++
	}
	b.needsAsk = true
	return &member{result: result, mutates: result.Mutates, reply: writeReply(result.Response)}, nil
}

func writeReply(response *pb.ResponseOp) *pontoonpb.RangeReply {
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Write{
		Write: &pontoonpb.WriteReply{Response: response},
	}}
}

// isLargeDelete decides once whether a deletion is done as a span (P36). One
// that answers with the previous values holds them all anyway.
func (e *Evaluator) isLargeDelete(r *request, op *pb.RequestOp) (bool, error) {
	d := op.GetRequestDeleteRange()
	if d == nil || d.PrevKv || len(d.RangeEnd) == 0 || r.alone {
		return r.alone, nil
	}
	span, n := keys.UserRangeSpan(d.Key, d.RangeEnd), int64(0)
	if span.Empty() {
		return false, nil
	}
	err := e.scan(span, func(*mvccpb.KeyValue) bool {
		n++
		return n <= e.opts.SpanDeleteKeys
	})
	return n > e.opts.SpanDeleteKeys, err
}

// evalSpanDelete makes a deletion one effect, alone and over a drained range,
// so that what apply expands it to is what was counted here (P36).
func (e *Evaluator) evalSpanDelete(b *batch, d *pb.DeleteRangeRequest) (*member, error) {
	if !e.drained(b) {
		return nil, errDrain
	}
	span := keys.UserRangeSpan(d.Key, d.RangeEnd)
	n, err := e.opts.State.Count(span, 0)
	if err != nil {
		return nil, err
	}
	b.needsAsk, b.alone = true, true
	rev := b.placeholder() - 1
	effects := []*pontoonpb.Effect(nil)
	if n > 0 { // fewer than it had: what waited in flight may have deleted some
		rev = b.placeholder()
		effects = []*pontoonpb.Effect{{
			Kind: pontoonpb.EffectKind_EFFECT_DELETE_SPAN, Key: span.Start, End: span.End, Rev: rev,
		}}
		b.numbers++
	}
	e.write(b, effects...)
	result := &etcdop.Result{
		Response: &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{
			Header: &pb.ResponseHeader{Revision: rev}, Deleted: n,
		}}},
		Effects: effects, Mutates: n > 0, Revision: rev,
	}
	return &member{result: result, mutates: n > 0, reply: writeReply(result.Response)}, nil
}

// effectSpan is what an effect on user keys touches.
func effectSpan(f *pontoonpb.Effect) proto.Span {
	if f.Kind == pontoonpb.EffectKind_EFFECT_DELETE_SPAN {
		return proto.Span{Start: f.Key, End: f.End}
	}
	return keys.Point(f.Key)
}
