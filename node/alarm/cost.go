package alarm

import pb "go.etcd.io/etcd/api/v3/etcdserverpb"

// What etcd reckons a record to take beside its key and value, bytes.
const (
	putOverhead = 256
	leaseCost   = 64
)

func putCost(r *pb.PutRequest) int64 { return putOverhead + int64(len(r.Key)+len(r.Value)) }

// txnCost is the cost of the dearer branch; 0: the txn holds no put.
func txnCost(r *pb.TxnRequest) int64 { return max(opsCost(r.Success), opsCost(r.Failure)) }

func opsCost(ops []*pb.RequestOp) (n int64) {
	for _, op := range ops {
		n += opCost(op)
	}
	return n
}

// opCost is what an operation may add to a store.
func opCost(op *pb.RequestOp) int64 {
	switch o := op.GetRequest().(type) {
	case *pb.RequestOp_RequestPut:
		if o.RequestPut != nil {
			return putCost(o.RequestPut)
		}
	case *pb.RequestOp_RequestTxn:
		if o.RequestTxn != nil {
			return txnCost(o.RequestTxn)
		}
	}
	return 0
}
