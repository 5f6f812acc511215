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

// Piece is what one range says to a range request.
type Piece struct {
	Kvs   []*mvccpb.KeyValue // in key order
	Count int64              // of all keys, before limit and filters; -1: not known
	More  bool               // Kvs were cut by the limit
	Next  []byte             // Kvs were cut by bytes before this key, and Count is of the keys below it
}

// Part reads the part of a range request that lies inside one range: at most
// FetchLimit key-values in key order that pass the filters, without values
// where the answer needs none. It stops at the first key after maxBytes of them
// unless that is 0. The count is known if it is to be exact or nothing was left
// out. rev 0 is the latest state.
func Part(v View, r *pb.RangeRequest, rev int64, exact bool, maxBytes int64) (p Piece, err error) {
	if r.CountOnly {
		p.Count, err = v.Count(r.Key, r.RangeEnd, rev)
		return p, err
	}
	limit := FetchLimit(r)
	keysOnly := !NeedsValue(r)
	var size int64
	err = v.Scan(r.Key, r.RangeEnd, rev, func(kv *mvccpb.KeyValue) bool {
		if limit > 0 && int64(len(p.Kvs)) == limit {
			p.More = true
			return false
		}
		if maxBytes > 0 && size >= maxBytes {
			p.Next = kv.Key
			return false
		}
		p.Count++
		if !Keep(r, kv) {
			return true
		}
		if keysOnly {
			kv = keyOnly(r, kv)
		}
		p.Kvs = append(p.Kvs, kv)
		size += Weight(kv)
		return true
	})
	if err != nil {
		return Piece{}, err
	}
	if p.More {
		p.Count = -1
		if exact {
			p.Count, err = v.Count(r.Key, r.RangeEnd, rev)
		}
	}
	return p, err
}

// keyValueBytes is what a key-value takes in memory besides its bytes, about.
const keyValueBytes = 112

// Weight is what a key-value takes in memory, in bytes, about.
func Weight(kv *mvccpb.KeyValue) int64 { return int64(len(kv.Key)+len(kv.Value)) + keyValueBytes }
