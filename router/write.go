package router

import (
	"bytes"
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// Put implements etcdserverpb.KVServer.
func (kv *KV) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	if err := etcdop.CheckPut(r); err != nil {
		return nil, err
	}
	if err := etcdop.CheckSize(&pb.InternalRaftRequest{Put: r}, kv.maxBytes); err != nil {
		return nil, err
	}
	out, rev, err := kv.write(ctx, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}})
	if err != nil {
		return nil, clientError(ctx, err)
	}
	resp := out.GetResponsePut()
	resp.Header = kv.fill(resp.Header, rev)
	return resp, nil
}

// DeleteRange implements etcdserverpb.KVServer.
func (kv *KV) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	if err := etcdop.CheckDelete(r); err != nil {
		return nil, err
	}
	if err := etcdop.CheckSize(&pb.InternalRaftRequest{DeleteRange: r}, kv.maxBytes); err != nil {
		return nil, err
	}
	out, rev, err := kv.write(ctx, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}})
	if err != nil {
		return nil, clientError(ctx, err)
	}
	resp := out.GetResponseDeleteRange()
	resp.Header = kv.fill(resp.Header, rev)
	return resp, nil
}

// Txn implements etcdserverpb.KVServer.
func (kv *KV) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if err := etcdop.CheckTxn(r, kv.maxTxnOps); err != nil {
		return nil, err
	}
	if etcdop.ReadOnly(r) {
		resp, err := kv.readTxn(ctx, r)
		if err != nil {
			return nil, clientError(ctx, err)
		}
		resp.Header = kv.fill(resp.Header, proto.Revision(resp.Header.Revision))
		return resp, nil
	}
	if err := etcdop.CheckSize(&pb.InternalRaftRequest{Txn: r}, kv.maxBytes); err != nil {
		return nil, err
	}
	out, rev, err := kv.write(ctx, &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r}})
	if err != nil {
		return nil, clientError(ctx, err)
	}
	resp := out.GetResponseTxn()
	resp.Header = kv.fill(resp.Header, rev)
	return resp, nil
}

// write runs an operation as one entry of the range that holds all of it, or
// as a txn over ranges.
func (kv *KV) write(ctx context.Context, op *pb.RequestOp) (*pb.ResponseOp, proto.Revision, error) {
	ctx, cancel := kv.bounded(ctx)
	defer cancel()
	hull, ok := hullOf(op)
	for ok {
		desc, err := kv.sender.locate(ctx, hull.Start)
		if err == nil && !proto.SpanOf(desc.Span).Covers(hull) {
			break
		}
		// A failing directory is the sender's to retry.
		reply, err := kv.sender.Send(ctx, &pontoonpb.RangeOp{
			Span: hull.Wire(), Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{Request: op}},
		})
		switch {
		case proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH):
			continue // the range was split; nothing was proposed
		case err != nil:
			return nil, 0, err
		}
		w := reply.GetWrite()
		if w.GetResponse() == nil {
			return nil, 0, proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "write without a response")
		}
		return w.Response, proto.Revision(w.Revision), nil
	}
	kv.sender.metrics.spanning.Inc()
	return kv.txns.Run(ctx, op)
}

// hullOf is the smallest span that holds everything an operation may touch.
func hullOf(op *pb.RequestOp) (proto.Span, bool) {
	var hull proto.Span
	for i, a := range etcdop.Footprint(op) {
		if i == 0 || bytes.Compare(a.Span.Start, hull.Start) < 0 {
			hull.Start = a.Span.Start
		}
		if i == 0 || bytes.Compare(a.Span.End, hull.End) > 0 {
			hull.End = a.Span.End
		}
	}
	return hull, !hull.Empty()
}
