package router

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// point is where a request reads: at the client's revision if it named one,
// else at the read point.
type point struct {
	read  proto.Revision // R, or the local cut
	named int64          // client's revision, 0 for none
	local bool           // serializable: from the replicas of this node
}

// at is the revision of the data.
func (p point) at() int64 {
	if p.named > 0 {
		return p.named
	}
	return int64(p.read)
}

// parts is what the ranges of one request answered, in key order.
type parts struct {
	kvs   []*mvccpb.KeyValue
	count int64
	more  bool // kvs were cut by the limit
}

// add appends what follows in key order.
func (all *parts) add(p *parts) {
	all.kvs = append(all.kvs, p.kvs...)
	all.count += p.count
	all.more = p.more
}

// gather reads the parts of r from all ranges that it covers, at one revision
// (P21). counted says that the caller needs no count beyond the kvs.
func (kv *KV) gather(ctx context.Context, r *pb.RangeRequest, p point, counted bool) (*parts, error) {
	span := keys.UserRangeSpan(r.Key, r.RangeEnd)
	if span.Empty() {
		return &parts{}, nil
	}
	descs, err := kv.sender.Cover(ctx, span)
	if err != nil {
		return nil, err
	}
	if etcdop.FetchLimit(r) > 0 && !r.CountOnly {
		return kv.gatherInOrder(ctx, r, span, descs, p, counted)
	}
	return kv.gatherAll(ctx, r, span, descs, p)
}

// gatherAll asks every range at once.
func (kv *KV) gatherAll(
	ctx context.Context, r *pb.RangeRequest, span proto.Span, descs []*pontoonpb.Descriptor, p point,
) (*parts, error) {
	if len(descs) == 1 {
		return kv.part(ctx, r, span, p, true)
	}
	type result struct {
		part *parts
		err  error
	}
	results := make([]chan result, len(descs))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, d := range descs {
		results[i] = make(chan result, 1)
		go func() {
			part, err := kv.part(ctx, r, proto.SpanOf(d.Span).Intersect(span), p, true)
			results[i] <- result{part, err}
		}()
	}
	all := &parts{}
	for _, c := range results {
		got := <-c
		if got.err != nil {
			return nil, got.err
		}
		all.add(got.part)
	}
	return all, nil
}

// gatherInOrder asks range after range in key order until the limit is
// reached, and the rest only for counts.
func (kv *KV) gatherInOrder(
	ctx context.Context, r *pb.RangeRequest, span proto.Span, descs []*pontoonpb.Descriptor, p point, counted bool,
) (*parts, error) {
	all := &parts{}
	want := etcdop.FetchLimit(r)
	for rest := span; !rest.Empty(); {
		piece := proto.SpanOf(descs[0].Span).Intersect(rest)
		descs = descs[1:]
		ask := cloneRange(r)
		ask.Limit = max(1, want-int64(len(all.kvs))-1)
		part, err := kv.part(ctx, ask, piece, p, !counted)
		if err != nil {
			return nil, err
		}
		all.add(part)
		rest.Start = piece.End
		if part.more || int64(len(all.kvs)) >= want {
			all.more = true
			if counted || rest.Empty() {
				return all, nil
			}
			count := cloneRange(r)
			count.CountOnly, count.Limit = true, 0
			others, err := kv.gatherAll(ctx, count, rest, descs, p)
			if err != nil {
				return nil, err
			}
			all.count += others.count
			return all, nil
		}
	}
	return all, nil
}

// defaultPageBytes is how much a leader answers with at a time: others wait behind it
// on the way, and the leader holds it until it was sent.
const defaultPageBytes = 1 << 20

// part reads what of a request lies in a span, page by page.
func (kv *KV) part(ctx context.Context, r *pb.RangeRequest, span proto.Span, p point, exact bool) (*parts, error) {
	all, next, err := kv.page(ctx, r, span, p, exact)
	if err != nil || next == nil {
		return all, err
	}
	for rest := cloneRange(r); next != nil; {
		span.Start = keys.User(next)
		if r.Limit > 0 {
			rest.Limit = max(1, r.Limit-int64(len(all.kvs))) // one too many is cut off by who assembles
		}
		var page *parts
		if page, next, err = kv.page(ctx, rest, span, p, exact); err != nil {
			return nil, err
		}
		all.add(page)
	}
	return all, nil
}

// page reads the first page of a span, and says where the next page begins, if
// there is one. What turns out to lie in several ranges is gathered from them.
func (kv *KV) page(ctx context.Context, r *pb.RangeRequest, span proto.Span, p point, exact bool) (_ *parts, next []byte, err error) {
	ask := cloneRange(r)
	ask.Key, ask.RangeEnd = userRange(span)
	ask.Revision, ask.Serializable = max(p.named, 0), false
	if !etcdop.KeyOrder(r) || etcdop.HasFilters(r) {
		ask.Limit = 0
	}
	ask.KeysOnly = !etcdop.NeedsValue(r)
	ask.SortOrder, ask.SortTarget = pb.RangeRequest_NONE, pb.RangeRequest_KEY
	read := &pontoonpb.ReadOp{
		Request: ask, ReadRevision: int64(p.read), Serializable: p.local, AnyFloor: p.named <= 0, CountExact: exact,
	}
	many := len(r.RangeEnd) > 0 && !r.CountOnly
	if many {
		read.MaxBytes = kv.pageBytes
	}
	reply, err := kv.send(ctx, &pontoonpb.RangeOp{Span: span.Wire(), Op: &pontoonpb.RangeOp_Read{Read: read}}, p)
	if proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH) && !p.local {
		descs, err := kv.sender.Cover(ctx, span)
		if err != nil {
			return nil, nil, err
		}
		var all *parts
		if etcdop.FetchLimit(ask) > 0 && !r.CountOnly {
			all, err = kv.gatherInOrder(ctx, ask, span, descs, p, !exact)
		} else {
			all, err = kv.gatherAll(ctx, ask, span, descs, p)
		}
		return all, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	answer := reply.GetRead()
	if answer == nil || answer.Revision != p.at() {
		return nil, nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE,
			"part read at revision %d instead of %d", answer.GetRevision(), p.at())
	}
	if many {
		if err := kv.answers.Grow(ctx, weigh(answer.Kvs)); err != nil {
			return nil, nil, err
		}
	}
	got := &parts{kvs: answer.Kvs, count: max(answer.Count, 0), more: answer.More}
	if answer.Count < 0 || !exact {
		got.count = int64(len(answer.Kvs))
	}
	return got, answer.Next, nil
}

// weigh is what key-values take in memory, in bytes, about.
func weigh(kvs []*mvccpb.KeyValue) (bytes int64) {
	for _, kv := range kvs {
		bytes += etcdop.Weight(kv)
	}
	return bytes
}

func (kv *KV) send(ctx context.Context, op *pontoonpb.RangeOp, p point) (*pontoonpb.RangeReply, error) {
	if !p.local {
		return kv.sender.Send(ctx, op)
	}
	desc, err := kv.sender.locate(ctx, op.Span.Start)
	if err != nil {
		return nil, err
	}
	op.RangeId = desc.RangeId
	reply, err := kv.transport.Call(ctx, kv.node, op)
	if err != nil {
		return nil, err
	}
	return reply, proto.FromWire(reply.GetError())
}

// userRange says a span of user keys in etcd's words; an empty key is no key.
func userRange(s proto.Span) (key, end []byte) {
	key, end = keys.UserRange(s)
	if len(key) == 0 {
		key = []byte{0}
	}
	return key, end
}

func cloneRange(r *pb.RangeRequest) *pb.RangeRequest {
	return &pb.RangeRequest{
		Key: r.Key, RangeEnd: r.RangeEnd, Limit: r.Limit, Revision: r.Revision, SortOrder: r.SortOrder,
		SortTarget: r.SortTarget, Serializable: r.Serializable, KeysOnly: r.KeysOnly, CountOnly: r.CountOnly,
		MinModRevision: r.MinModRevision, MaxModRevision: r.MaxModRevision,
		MinCreateRevision: r.MinCreateRevision, MaxCreateRevision: r.MaxCreateRevision,
	}
}
