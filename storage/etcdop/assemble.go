package etcdop

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// KeyOrder reports whether the first keys of the range are also the first of
// the answer, so that a limit may cut while scanning. As in etcd that is so
// for sort order NONE whatever the target.
func KeyOrder(r *pb.RangeRequest) bool {
	return r.SortOrder == pb.RangeRequest_NONE ||
		r.SortTarget == pb.RangeRequest_KEY && r.SortOrder == pb.RangeRequest_ASCEND
}

// HasFilters reports whether the request filters by revision.
func HasFilters(r *pb.RangeRequest) bool {
	return r.MinModRevision != 0 || r.MaxModRevision != 0 ||
		r.MinCreateRevision != 0 || r.MaxCreateRevision != 0
}

// FetchLimit is how many key-values the answer needs, one more than the limit
// to know whether more follow; 0 means all.
func FetchLimit(r *pb.RangeRequest) int64 {
	if r.Limit <= 0 || !KeyOrder(r) || HasFilters(r) {
		return 0
	}
	if r.Limit == math.MaxInt64 {
		return r.Limit
	}
	return r.Limit + 1
}

// NeedsValue reports whether assembling the answer needs the values.
func NeedsValue(r *pb.RangeRequest) bool {
	return !r.KeysOnly || r.SortTarget == pb.RangeRequest_VALUE
}

// Keep reports whether a key-value passes the request's revision filters.
func Keep(r *pb.RangeRequest, kv *mvccpb.KeyValue) bool {
	return (r.MaxModRevision == 0 || kv.ModRevision <= r.MaxModRevision) &&
		(r.MinModRevision == 0 || kv.ModRevision >= r.MinModRevision) &&
		(r.MaxCreateRevision == 0 || kv.CreateRevision <= r.MaxCreateRevision) &&
		(r.MinCreateRevision == 0 || kv.CreateRevision >= r.MinCreateRevision)
}

// Sort orders key-values, given in key order, as the request asks. Ties keep
// key order (etcd leaves them undefined).
func Sort(r *pb.RangeRequest, kvs []*mvccpb.KeyValue) {
	order := r.SortOrder
	if r.SortTarget != pb.RangeRequest_KEY && order == pb.RangeRequest_NONE {
		order = pb.RangeRequest_ASCEND
	}
	var by func(a, b *mvccpb.KeyValue) int
	switch r.SortTarget {
	case pb.RangeRequest_VERSION:
		by = func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.Version, b.Version) }
	case pb.RangeRequest_CREATE:
		by = func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.CreateRevision, b.CreateRevision) }
	case pb.RangeRequest_MOD:
		by = func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.ModRevision, b.ModRevision) }
	case pb.RangeRequest_VALUE:
		by = func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Value, b.Value) }
	default:
		if order != pb.RangeRequest_DESCEND {
			return // already in key order
		}
		by = func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) }
	}
	if order == pb.RangeRequest_DESCEND {
		slices.SortStableFunc(kvs, func(a, b *mvccpb.KeyValue) int { return by(b, a) })
		return
	}
	slices.SortStableFunc(kvs, by)
}

// Assemble builds the answer of a range request from the key-values of its
// span in key order, of which at least FetchLimit are given. It reorders and
// keeps kvs, but modifies no key-value (I2).
func Assemble(r *pb.RangeRequest, kvs []*mvccpb.KeyValue, count, headerRev int64) *pb.RangeResponse {
	resp := &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: headerRev}, Count: count}
	if r.CountOnly {
		return resp
	}
	// etcd takes limit+1 keys in key order before it sorts (order NONE), also
	// where more were at hand.
	if n := FetchLimit(r); n > 0 && int64(len(kvs)) > n {
		kvs = kvs[:n]
	}
	if HasFilters(r) {
		kvs = slices.DeleteFunc(kvs, func(kv *mvccpb.KeyValue) bool { return !Keep(r, kv) })
	}
	Sort(r, kvs)
	if r.Limit > 0 && int64(len(kvs)) > r.Limit {
		kvs = kvs[:r.Limit]
		resp.More = true
	}
	if r.KeysOnly {
		for i, kv := range kvs {
			kvs[i] = keyOnly(r, kv)
		}
	}
	resp.Kvs = kvs
	return resp
}

// keyOnly drops the value and, like etcd's answer from the index alone, the
// lease too unless values were read for sorting.
func keyOnly(r *pb.RangeRequest, kv *mvccpb.KeyValue) *mvccpb.KeyValue {
	k := &mvccpb.KeyValue{
		Key: kv.Key, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Version: kv.Version,
	}
	if NeedsValue(r) {
		k.Lease = kv.Lease
	}
	return k
}

// Part reads the part of a range request that lies inside one range: at most
// FetchLimit key-values in key order that pass the filters, without values
// where the answer needs none. count is the number of all keys of the span,
// before limit and filters; -1 unless exact or nothing was left out. rev 0 is
// the latest state.
func Part(v View, r *pb.RangeRequest, rev int64, exact bool) (kvs []*mvccpb.KeyValue, count int64, more bool, err error) {
	if r.CountOnly {
		count, err = v.Count(r.Key, r.RangeEnd, rev)
		return nil, count, false, err
	}
	limit := FetchLimit(r)
	keysOnly := !NeedsValue(r)
	err = v.Scan(r.Key, r.RangeEnd, rev, func(kv *mvccpb.KeyValue) bool {
		if limit > 0 && int64(len(kvs)) == limit {
			more = true
			return false
		}
		count++
		switch {
		case !Keep(r, kv):
		case keysOnly:
			kvs = append(kvs, keyOnly(r, kv))
		default:
			kvs = append(kvs, kv)
		}
		return true
	})
	if err != nil {
		return nil, 0, false, err
	}
	if more {
		count = -1
		if exact {
			count, err = v.Count(r.Key, r.RangeEnd, rev)
		}
	}
	return kvs, count, more, err
}
