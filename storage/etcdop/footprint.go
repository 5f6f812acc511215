package etcdop

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Access is one span that an operation touches, in internal keys.
type Access struct {
	Span  proto.Span
	Write bool
	Lease proto.LeaseID // of a put: the lease that must exist; 0: none
	Rev   int64         // of a range: > 0 reads history only
}

// Footprint lists everything that an operation may touch whatever its compares
// say, in the order of the request: first compares, then both branches. Empty
// spans are left out.
func Footprint(op *pb.RequestOp) []Access {
	return appendOp(nil, op, func(r *pb.TxnRequest) []*pb.RequestOp {
		return append(append([]*pb.RequestOp(nil), r.GetSuccess()...), r.GetFailure()...)
	})
}

// FootprintOf lists what an operation touches on a chosen path. Compares off
// the path are not on it.
func FootprintOf(op *pb.RequestOp, path Path) []Access {
	return appendOp(nil, op, func(r *pb.TxnRequest) []*pb.RequestOp {
		success := path[0]
		path = path[1:]
		return branch(r, success)
	})
}

func appendOp(out []Access, op *pb.RequestOp, branches func(*pb.TxnRequest) []*pb.RequestOp) []Access {
	switch r := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		out = appendSpan(out, r.RequestRange.GetKey(), r.RequestRange.GetRangeEnd(), Access{Rev: max(0, r.RequestRange.GetRevision())})
	case *pb.RequestOp_RequestPut:
		out = appendSpan(out, r.RequestPut.GetKey(), nil, Access{Write: true, Lease: proto.LeaseID(r.RequestPut.GetLease())})
	case *pb.RequestOp_RequestDeleteRange:
		out = appendSpan(out, r.RequestDeleteRange.GetKey(), r.RequestDeleteRange.GetRangeEnd(), Access{Write: true})
	case *pb.RequestOp_RequestTxn:
		for _, c := range r.RequestTxn.GetCompare() {
			out = appendSpan(out, c.GetKey(), c.GetRangeEnd(), Access{})
		}
		for _, nested := range branches(r.RequestTxn) {
			out = appendOp(out, nested, branches)
		}
	}
	return out
}

func appendSpan(out []Access, key, end []byte, a Access) []Access {
	if a.Span = keys.UserRangeSpan(key, end); a.Span.Empty() {
		return out
	}
	return append(out, a)
}

// NamesRevision reports whether any range of an operation, also one over no key
// at all, is of a revision that the client named: it is refused if that is
// compacted or in the future.
func NamesRevision(op *pb.RequestOp) bool {
	switch r := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		return r.RequestRange.GetRevision() > 0
	case *pb.RequestOp_RequestTxn:
		return slices.ContainsFunc(r.RequestTxn.GetSuccess(), NamesRevision) ||
			slices.ContainsFunc(r.RequestTxn.GetFailure(), NamesRevision)
	}
	return false
}

// Writes reports whether an operation may change anything on the chosen path.
func Writes(op *pb.RequestOp, path Path) bool {
	for _, a := range FootprintOf(op, path) {
		if a.Write {
			return true
		}
	}
	return false
}

// ReadOnly is etcd's rule for serving a txn without the log: only ranges in
// both branches, no nested txn.
func ReadOnly(r *pb.TxnRequest) bool {
	return allRanges(r, func(*pb.RangeRequest) bool { return true })
}

// Serializable reports whether every operation of a txn is a serializable
// range.
func Serializable(r *pb.TxnRequest) bool {
	return allRanges(r, func(q *pb.RangeRequest) bool { return q.Serializable })
}

func allRanges(r *pb.TxnRequest, ok func(*pb.RangeRequest) bool) bool {
	for _, branch := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range branch {
			if q := op.GetRequestRange(); q == nil || !ok(q) {
				return false
			}
		}
	}
	return true
}
