package metrics

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// fakeKV answers what it is told to.
type fakeKV struct {
	pb.UnimplementedKVServer
	txn *pb.TxnResponse
	err error
}

func (f *fakeKV) Put(context.Context, *pb.PutRequest) (*pb.PutResponse, error) {
	return &pb.PutResponse{}, f.err
}
func (f *fakeKV) Txn(context.Context, *pb.TxnRequest) (*pb.TxnResponse, error) { return f.txn, f.err }

func putOp(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}
}

// A txn counts the branch that ran, nested ones too, and nothing of the other.
func TestTxnCountsWhatRan(t *testing.T) {
	reg := prometheus.NewRegistry()
	nested := &pb.TxnRequest{Success: []*pb.RequestOp{putOp("never", "")}, Failure: []*pb.RequestOp{
		putOp("k", "va"), {Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{}}},
	}}
	kv := NewKV(reg, &fakeKV{txn: &pb.TxnResponse{Succeeded: true, Responses: []*pb.ResponseOp{
		{}, {}, {Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: &pb.TxnResponse{Responses: []*pb.ResponseOp{{}, {}}}}},
	}}})
	_, err := kv.Txn(t.Context(), &pb.TxnRequest{
		Success: []*pb.RequestOp{
			putOp("key", "value"), {Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{}}},
			{Request: &pb.RequestOp_RequestTxn{RequestTxn: nested}},
		},
		Failure: []*pb.RequestOp{putOp("never", "")},
	})
	if err != nil {
		t.Fatal(err)
	}
	is(t, reg, "etcd_mvcc_txn_total{}", 1)
	is(t, reg, "etcd_mvcc_put_total{}", 2)
	is(t, reg, "etcd_mvcc_delete_total{}", 1)
	is(t, reg, "etcd_mvcc_range_total{}", 1)
	is(t, reg, "etcd_debugging_mvcc_total_put_size_in_bytes{}", 8+3)
}

func TestWhatFailedIsNotCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	kv := NewKV(reg, &fakeKV{err: errors.New("no")})
	if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("k")}); err == nil {
		t.Fatal("no error")
	}
	is(t, reg, "etcd_mvcc_put_total{}", 0)
	is(t, reg, "etcd_debugging_mvcc_total_put_size_in_bytes{}", 0)
}
