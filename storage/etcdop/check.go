package etcdop

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	gproto "google.golang.org/protobuf/proto"
)

// etcd's default limits.
const (
	DefaultMaxTxnOps       = 128         // operations in one txn
	DefaultMaxRequestBytes = 1536 * 1024 // of one request
)

// Check validates an operation statically, with etcd's errors in etcd's order.
func Check(op *pb.RequestOp, maxTxnOps int) error {
	switch r := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		return CheckRange(r.RequestRange)
	case *pb.RequestOp_RequestPut:
		return CheckPut(r.RequestPut)
	case *pb.RequestOp_RequestDeleteRange:
		return CheckDelete(r.RequestDeleteRange)
	case *pb.RequestOp_RequestTxn:
		return CheckTxn(r.RequestTxn, maxTxnOps)
	default:
		return rpctypes.ErrGRPCKeyNotFound
	}
}

// CheckSize refuses what etcd would not put into its log: more than maxBytes.
// It fills the header that the request would have there, but for who sends it.
func CheckSize(r *pb.InternalRaftRequest, maxBytes int) error {
	if r.Header == nil {
		r.Header = &pb.RequestHeader{}
	}
	r.Header.ID = 1 << 63
	if gproto.Size(r) > maxBytes {
		return rpctypes.ErrGRPCRequestTooLarge
	}
	return nil
}

// CheckRange validates a range request.
func CheckRange(r *pb.RangeRequest) error {
	if len(r.GetKey()) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	if _, ok := pb.RangeRequest_SortOrder_name[int32(r.SortOrder)]; !ok {
		return rpctypes.ErrGRPCInvalidSortOption
	}
	if _, ok := pb.RangeRequest_SortTarget_name[int32(r.SortTarget)]; !ok {
		return rpctypes.ErrGRPCInvalidSortOption
	}
	return nil
}

// CheckRangeStream validates a range stream request, which knows neither
// sorting nor filters.
func CheckRangeStream(r *pb.RangeRequest) error {
	if err := CheckRange(r); err != nil {
		return err
	}
	if !KeyOrder(r) {
		return status.Error(codes.Unimplemented, "RangeStream does not support custom sort orders")
	}
	if HasFilters(r) {
		return status.Error(codes.Unimplemented, "RangeStream does not support revision filters")
	}
	return nil
}

// CheckPut validates a put request.
func CheckPut(r *pb.PutRequest) error {
	switch {
	case len(r.GetKey()) == 0:
		return rpctypes.ErrGRPCEmptyKey
	case r.IgnoreValue && len(r.Value) != 0:
		return rpctypes.ErrGRPCValueProvided
	case r.IgnoreLease && r.Lease != 0:
		return rpctypes.ErrGRPCLeaseProvided
	}
	return nil
}

// CheckDelete validates a delete range request.
func CheckDelete(r *pb.DeleteRangeRequest) error {
	if len(r.GetKey()) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	return nil
}

// CheckTxn validates a txn: first its operations and those of nested txns,
// then that no key is written twice.
func CheckTxn(r *pb.TxnRequest, maxOps int) error {
	if err := checkTxnOps(r, maxOps); err != nil {
		return err
	}
	if _, err := checkBranch(r.GetSuccess()); err != nil {
		return err
	}
	_, err := checkBranch(r.GetFailure())
	return err
}

// checkTxnOps gives a nested txn only the budget that its parent left.
func checkTxnOps(r *pb.TxnRequest, budget int) error {
	ops := max(len(r.GetCompare()), len(r.GetSuccess()), len(r.GetFailure()))
	if ops > budget {
		return rpctypes.ErrGRPCTooManyOps
	}
	for _, c := range r.GetCompare() {
		if len(c.GetKey()) == 0 {
			return rpctypes.ErrGRPCEmptyKey
		}
	}
	for _, branch := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range branch {
			var err error
			if t, ok := op.GetRequest().(*pb.RequestOp_RequestTxn); ok {
				err = checkTxnOps(t.RequestTxn, budget-ops)
			} else {
				err = Check(op, 0)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// deletion is the interval of one delete. etcd takes range_end literally here,
// so "from key on" (end "\0") is an inverted interval that overlaps nothing.
type deletion struct{ start, end []byte }

func (d deletion) covers(key string) bool {
	if len(d.end) == 0 {
		return string(d.start) == key
	}
	return string(d.start) <= key && key < string(d.end)
}

// writes are the puts and deletes of one branch and what is nested in it.
type writes struct {
	puts map[string]struct{}
	dels []deletion
}

func (w *writes) deletes(key string) bool {
	for _, d := range w.dels {
		if d.covers(key) {
			return true
		}
	}
	return false
}

func (w *writes) put(key string, allowed map[string]struct{}) error {
	if _, twice := w.puts[key]; twice {
		if _, ok := allowed[key]; !ok {
			return rpctypes.ErrGRPCDuplicateKey
		}
	}
	if w.deletes(key) {
		return rpctypes.ErrGRPCDuplicateKey
	}
	w.puts[key] = struct{}{}
	return nil
}

// checkBranch refuses a key put twice, or put and deleted. It looks at the
// deletes of this level first, then at nested txns in order, then at the puts
// of this level: the order decides which overlaps are found, as in etcd.
func checkBranch(ops []*pb.RequestOp) (*writes, error) {
	w := &writes{puts: make(map[string]struct{})}
	for _, op := range ops {
		if d := op.GetRequestDeleteRange(); d != nil {
			w.dels = append(w.dels, deletion{d.Key, d.RangeEnd})
		}
	}
	for _, op := range ops {
		t := op.GetRequestTxn()
		if t == nil {
			continue
		}
		then, err := checkBranch(t.Success)
		if err != nil {
			return nil, err
		}
		otherwise, err := checkBranch(t.Failure)
		if err != nil {
			return nil, err
		}
		for key := range then.puts {
			if err := w.put(key, nil); err != nil {
				return nil, err
			}
		}
		// Only one of the two branches runs, so they may share keys.
		for key := range otherwise.puts {
			if err := w.put(key, then.puts); err != nil {
				return nil, err
			}
		}
		w.dels = append(append(w.dels, then.dels...), otherwise.dels...)
	}
	for _, op := range ops {
		if p := op.GetRequestPut(); p != nil {
			if err := w.put(string(p.Key), nil); err != nil {
				return nil, err
			}
		}
	}
	return w, nil
}
