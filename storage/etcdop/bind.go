package etcdop

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Bind replaces placeholders by real numbers once first, the number for
// Placeholder, is granted. For a batch that takes no number first is the read
// revision plus one. Binding twice changes nothing more.
func (r *Result) Bind(first int64) {
	r.Revision = number(r.Revision, first)
	PatchEffects(r.Effects, first)
	for _, l := range r.late {
		l.answer(first)
	}
	r.late = nil
	PatchResponse(r.Response, first)
}

// lateRange is a range inside a txn whose revision filters can be applied only
// to real numbers.
type lateRange struct {
	request  *pb.RangeRequest
	response *pb.RangeResponse // empty until Bind
	kvs      []*mvccpb.KeyValue
	header   int64
}

func (l lateRange) answer(first int64) {
	patchAll(l.kvs, first)
	a := Assemble(l.request, l.kvs, int64(len(l.kvs)), number(l.header, first))
	l.response.Header, l.response.Kvs, l.response.More, l.response.Count = a.Header, a.Kvs, a.More, a.Count
}

// number returns the number that a placeholder stands for; numbers stay.
func number(rev, first int64) int64 {
	if IsPlaceholder(rev) {
		return first + (rev - Placeholder)
	}
	return rev
}

// PatchEffects binds the placeholders in effects, in place.
func PatchEffects(effects []*pontoonpb.Effect, first int64) {
	for _, e := range effects {
		e.Rev, e.CreateRevision = number(e.Rev, first), number(e.CreateRevision, first)
	}
}

// PatchKeyValue returns kv with its placeholders bound: kv itself if there are
// none, else a copy that shares key and value (I2).
func PatchKeyValue(kv *mvccpb.KeyValue, first int64) *mvccpb.KeyValue {
	if kv == nil || !IsPlaceholder(kv.ModRevision) && !IsPlaceholder(kv.CreateRevision) {
		return kv
	}
	return &mvccpb.KeyValue{
		Key: kv.Key, Value: kv.Value, Version: kv.Version, Lease: kv.Lease,
		CreateRevision: number(kv.CreateRevision, first), ModRevision: number(kv.ModRevision, first),
	}
}

// PatchResponse binds the placeholders in headers and key-values of a
// response, nested ones too. Key-values are replaced, not modified.
func PatchResponse(op *pb.ResponseOp, first int64) {
	switch r := op.GetResponse().(type) {
	case *pb.ResponseOp_ResponseRange:
		patchHeader(r.ResponseRange.GetHeader(), first)
		patchAll(r.ResponseRange.GetKvs(), first)
	case *pb.ResponseOp_ResponsePut:
		patchHeader(r.ResponsePut.GetHeader(), first)
		if r.ResponsePut != nil {
			r.ResponsePut.PrevKv = PatchKeyValue(r.ResponsePut.PrevKv, first)
		}
	case *pb.ResponseOp_ResponseDeleteRange:
		patchHeader(r.ResponseDeleteRange.GetHeader(), first)
		patchAll(r.ResponseDeleteRange.GetPrevKvs(), first)
	case *pb.ResponseOp_ResponseTxn:
		patchHeader(r.ResponseTxn.GetHeader(), first)
		for _, nested := range r.ResponseTxn.GetResponses() {
			PatchResponse(nested, first)
		}
	}
}

func patchHeader(h *pb.ResponseHeader, first int64) {
	if h != nil {
		h.Revision = number(h.Revision, first)
	}
}

func patchAll(kvs []*mvccpb.KeyValue, first int64) {
	for i, kv := range kvs {
		kvs[i] = PatchKeyValue(kv, first)
	}
}
