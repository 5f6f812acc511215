package etcdop

import (
	"bytes"
	"cmp"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Path holds the outcome of the compares of a txn and of every nested txn on
// the chosen path, in depth-first order.
type Path []bool

// ChoosePath evaluates all compares of a txn, nested ones too, over the state
// before the txn. The error is ErrUndecided or the view's.
func ChoosePath(v View, r *pb.TxnRequest) (Path, error) {
	return choosePath(v, r, nil)
}

func choosePath(v View, r *pb.TxnRequest, path Path) (Path, error) {
	ok, err := holdAll(v, r.GetCompare())
	if err != nil {
		return nil, err
	}
	path = append(path, ok)
	for _, op := range branch(r, ok) {
		if t, nested := op.GetRequest().(*pb.RequestOp_RequestTxn); nested {
			if path, err = choosePath(v, t.RequestTxn, path); err != nil {
				return nil, err
			}
		}
	}
	return path, nil
}

// branch returns the operations that run for the outcome of the compares.
func branch(r *pb.TxnRequest, success bool) []*pb.RequestOp {
	if success {
		return r.GetSuccess()
	}
	return r.GetFailure()
}

func holdAll(v View, compares []*pb.Compare) (bool, error) {
	for _, c := range compares {
		if ok, err := holds(v, c); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// holds reports whether a compare holds for every key of its range. Missing
// keys compare as zero values, except that a value compare never holds then.
func holds(v View, c *pb.Compare) (bool, error) {
	found, all := false, true
	var undecided error
	err := v.Scan(c.Key, c.RangeEnd, 0, func(kv *mvccpb.KeyValue) bool {
		found = true
		if all, undecided = compareKV(c, kv, v.Seen()); undecided != nil {
			return false
		}
		return all
	})
	switch {
	case err != nil:
		return false, err
	case undecided != nil:
		return false, undecided
	case found:
		return all, nil
	case c.Target == pb.Compare_VALUE:
		return false, nil
	}
	return compareKV(c, &mvccpb.KeyValue{}, v.Seen())
}

func compareKV(c *pb.Compare, kv *mvccpb.KeyValue, seen int64) (bool, error) {
	var result int
	switch c.Target {
	case pb.Compare_VALUE:
		result = bytes.Compare(kv.Value, c.GetValue())
	case pb.Compare_VERSION:
		result = cmp.Compare(kv.Version, c.GetVersion())
	case pb.Compare_LEASE:
		result = cmp.Compare(kv.Lease, c.GetLease())
	case pb.Compare_CREATE:
		if undecided(kv.CreateRevision, c.GetCreateRevision(), seen) {
			return false, ErrUndecided
		}
		result = cmp.Compare(kv.CreateRevision, c.GetCreateRevision())
	case pb.Compare_MOD:
		if undecided(kv.ModRevision, c.GetModRevision(), seen) {
			return false, ErrUndecided
		}
		result = cmp.Compare(kv.ModRevision, c.GetModRevision())
	}
	switch c.Result {
	case pb.Compare_EQUAL:
		return result == 0, nil
	case pb.Compare_NOT_EQUAL:
		return result != 0, nil
	case pb.Compare_GREATER:
		return result > 0, nil
	case pb.Compare_LESS:
		return result < 0, nil
	}
	return true, nil // as etcd answers a result that it does not know
}

// undecided: a number not granted yet is only known to be above seen (P14).
func undecided(rev, bound, seen int64) bool {
	return IsPlaceholder(rev) && bound > seen
}
