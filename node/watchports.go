package node

import (
	"context"
	"errors"
	"slices"

	etcdpb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/router"
	"github.com/pontoon-kv/pontoon/router/rangecache"
	"github.com/pontoon-kv/pontoon/storage/keys"
	"github.com/pontoon-kv/pontoon/watchmux"
)

// replicas reads from the replicas of this node where it has them, and from
// elsewhere where not. It serves the watch service.
type replicas struct {
	self   proto.NodeID
	store  *rangeraft.Store
	sender *router.Sender
	cache  *rangecache.Cache
}

// Cover implements watchmux.Ranges.
func (r *replicas) Cover(ctx context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error) {
	return r.sender.Cover(ctx, span)
}

// Learn implements watchmux.Ranges: what was refused is forgotten unless the
// refusal told better.
func (r *replicas) Learn(span proto.Span, known []*pontoonpb.Descriptor) {
	if r.cache.Insert(known...) {
		return
	}
	if d := r.cache.Lookup(span.Start); d != nil {
		r.cache.Evict(d)
	}
}

// Open implements watchmux.Feeds: the own replica first, then the others in
// turn. After a turn in which none served the range may have moved to others (P21), and
// none be left to tell: it is looked up anew.
func (r *replicas) Open(ctx context.Context, desc *pontoonpb.Descriptor, req *pontoonpb.FeedRequest, attempt int) (watchmux.Feed, error) {
	order := r.nearest(desc)
	if len(order) == 0 {
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND, "range %d has no replicas", desc.RangeId)
	}
	if attempt > 0 && attempt%len(order) == 0 {
		r.cache.Evict(desc)
	}
	node := order[attempt%len(order)]
	if node == r.self {
		return r.store.OpenFeed(ctx, req)
	}
	return r.store.Transport().OpenFeed(ctx, node, req)
}

// nearest lists the nodes with a voting replica, this one first.
func (r *replicas) nearest(desc *pontoonpb.Descriptor) []proto.NodeID {
	var order []proto.NodeID
	for _, rep := range desc.Replicas {
		order = append(order, proto.NodeID(rep.NodeId))
	}
	if i := slices.Index(order, r.self); i > 0 {
		order[0], order[i] = order[i], order[0]
	}
	return order
}

// History implements watchmux.History.
func (r *replicas) History(ctx context.Context, span proto.Span, from, to proto.Revision, maxBytes int64) (*pontoonpb.HistoryReply, error) {
	reply, err := r.read(ctx, &pontoonpb.RangeOp{Span: span.Wire(), Op: &pontoonpb.RangeOp_History{
		History: &pontoonpb.HistoryOp{From: int64(from), To: int64(to), MaxBytes: maxBytes},
	}})
	return reply.GetHistory(), err
}

// Previous implements watchmux.History (P25).
func (r *replicas) Previous(ctx context.Context, key []byte, rev proto.Revision) (*mvccpb.KeyValue, error) {
	reply, err := r.read(ctx, &pontoonpb.RangeOp{Span: keys.Point(keys.User(key)).Wire(), Op: &pontoonpb.RangeOp_Read{
		Read: &pontoonpb.ReadOp{
			Request:      &etcdpb.RangeRequest{Key: key, Revision: int64(rev)},
			ReadRevision: int64(rev), Serializable: true, AnyFloor: true, // the floor is not the client's mistake here
		},
	}})
	switch {
	case proto.HasCode(err, pontoonpb.RangeErrorCode_BELOW_FLOOR):
		return nil, nil
	case err != nil:
		return nil, err
	case len(reply.GetRead().Kvs) == 0:
		return nil, nil
	}
	return reply.GetRead().Kvs[0], nil
}

// read runs an operation that any replica may serve: here if a replica here
// can, else on the leader. A replica here that does not have the span may be
// older than what is remembered, so that its refusal is not the last word.
func (r *replicas) read(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	if d := r.cache.Lookup(op.Span.Start); d != nil && slices.Contains(r.nearest(d), r.self) {
		op.RangeId = d.RangeId
		reply := r.store.Do(ctx, op)
		err := proto.FromWire(reply.Error)
		var re *proto.RangeError
		if !errors.As(err, &re) || re.Code == pontoonpb.RangeErrorCode_BELOW_FLOOR {
			return reply, err
		}
		r.cache.Insert(re.Descriptors...)
	}
	if read := op.GetRead(); read != nil {
		read.Serializable = false // the leader closes by waiting, not by refusing
	}
	return r.sender.Send(ctx, op)
}

// watchRevisions is the sequencer client as the watch service wants it.
type watchRevisions struct{ revisions }

func (r watchRevisions) ReadRevision(ctx context.Context) (watchmux.Read, error) {
	read, err := r.read(ctx)
	return watchmux.Read{Revision: read.Revision, Floor: read.Floor}, err
}
