package diff

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// equalButTies compares two answers to a read. When the read sorts by anything but
// the key, the order of keys with equal sort values is open, since etcd sorts with an
// unstable sort, and with a limit also which of them are cut off. So the answers are
// equal when both hold the same sort values in the same order, and every key in the
// subject's answer appears once and is among those that were sorted, unchanged.
func (r *Runner) equalButTies(ctx context.Context, req *pb.RangeRequest, oracle, subject answer) (bool, error) {
	if equalAnswers(oracle, subject) {
		return true, nil
	}
	if req.SortTarget == pb.RangeRequest_KEY || !oracle.ok() || !subject.ok() || oracle.note+subject.note != "" {
		return false, nil
	}
	om, ok := normalise(oracle.msg).(*pb.RangeResponse)
	if !ok {
		return false, nil
	}
	sm := normalise(subject.msg).(*pb.RangeResponse)
	full, err := r.sorted(ctx, req, headerRevision(oracle))
	if err != nil {
		return false, err
	}
	if !tiesOnly(req, full, om.Kvs, sm.Kvs) {
		return false, nil
	}
	om.Kvs, sm.Kvs = nil, nil
	return proto.Equal(om, sm), nil
}

// sorted asks the oracle for everything that the read sorted, with values.
func (r *Runner) sorted(ctx context.Context, req *pb.RangeRequest, now int64) (map[string]*mvccpb.KeyValue, error) {
	all := proto.Clone(req).(*pb.RangeRequest)
	all.KeysOnly = false
	all.SortTarget, all.SortOrder = pb.RangeRequest_KEY, pb.RangeRequest_NONE
	switch {
	case req.Limit <= 0 || req.SortOrder != pb.RangeRequest_NONE || hasFilters(req):
		all.Limit = 0
	default:
		// Without an explicit order etcd takes limit+1 keys in key order and then
		// sorts those.
		all.Limit = req.Limit + 1
	}
	if all.Revision <= 0 {
		all.Revision = now
	}
	a := r.oracle.call(ctx, Op{Kind: KindRange}, all)
	if !a.ok() {
		return nil, fmt.Errorf("diff: what was sorted: %s", a)
	}
	full := map[string]*mvccpb.KeyValue{}
	for _, kv := range a.msg.(*pb.RangeResponse).Kvs {
		full[string(kv.Key)] = kv
	}
	return full, nil
}

func hasFilters(r *pb.RangeRequest) bool {
	return r.MinModRevision != 0 || r.MaxModRevision != 0 || r.MinCreateRevision != 0 || r.MaxCreateRevision != 0
}

// tiesOnly reports whether the subject's keys differ from the oracle's within groups
// of equal sort values only.
func tiesOnly(req *pb.RangeRequest, full map[string]*mvccpb.KeyValue, oracle, subject []*mvccpb.KeyValue) bool {
	if len(oracle) != len(subject) {
		return false
	}
	seen := map[string]bool{}
	for i := range oracle {
		o, s := full[string(oracle[i].Key)], full[string(subject[i].Key)]
		if o == nil || s == nil || seen[string(s.Key)] || compareBy(req.SortTarget, o, s) != 0 {
			return false
		}
		seen[string(s.Key)] = true
		want := proto.Clone(s).(*mvccpb.KeyValue)
		if req.KeysOnly {
			want.Value = nil
			want.Lease = subject[i].Lease // shown or not: compared on equal answers
		}
		if !proto.Equal(want, subject[i]) {
			return false
		}
	}
	return true
}

func compareBy(t pb.RangeRequest_SortTarget, a, b *mvccpb.KeyValue) int {
	switch t {
	case pb.RangeRequest_VERSION:
		return cmp.Compare(a.Version, b.Version)
	case pb.RangeRequest_CREATE:
		return cmp.Compare(a.CreateRevision, b.CreateRevision)
	case pb.RangeRequest_MOD:
		return cmp.Compare(a.ModRevision, b.ModRevision)
	case pb.RangeRequest_VALUE:
		return bytes.Compare(a.Value, b.Value)
	}
	return bytes.Compare(a.Key, b.Key)
}

// sortTies brings kvs with equal sort values into key order. It serves ranges inside
// a txn, which cannot be asked again; the generator gives those no limit.
func sortTies(t pb.RangeRequest_SortTarget, kvs []*mvccpb.KeyValue) {
	for i := 0; i < len(kvs); {
		j := i + 1
		for j < len(kvs) && compareBy(t, kvs[i], kvs[j]) == 0 {
			j++
		}
		slices.SortFunc(kvs[i:j], func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
		i = j
	}
}

// sortTxnTies applies sortTies to every sorted range in the answers to a txn.
func sortTxnTies(req *pb.TxnRequest, answers ...answer) {
	for _, a := range answers {
		if t, ok := a.msg.(*pb.TxnResponse); ok && a.ok() {
			sortTiesWithin(req, t)
		}
	}
}

func sortTiesWithin(req *pb.TxnRequest, resp *pb.TxnResponse) {
	ops := req.Failure
	if resp.Succeeded {
		ops = req.Success
	}
	if len(ops) != len(resp.Responses) {
		return // the comparison will show it
	}
	for i, op := range ops {
		if rr := resp.Responses[i].GetResponseRange(); rr != nil && op.GetRequestRange() != nil {
			sortTies(op.GetRequestRange().SortTarget, rr.Kvs)
		}
		if rt := resp.Responses[i].GetResponseTxn(); rt != nil && op.GetRequestTxn() != nil {
			sortTiesWithin(op.GetRequestTxn(), rt)
		}
	}
}
