package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// KV counts the operations that succeeded in a KV service, whoever asked: the
// Lock and Election services use it, too.
type KV struct {
	pb.KVServer
	ranges, puts, deletes, txns prometheus.Counter
	putBytes                    prometheus.Gauge
}

// NewKV counts what kv does.
func NewKV(reg prometheus.Registerer, kv pb.KVServer) *KV {
	const size = "etcd_debugging_mvcc_total_put_size_in_bytes"
	k := &KV{
		KVServer: kv, ranges: counter("etcd_mvcc_range_total"), puts: counter("etcd_mvcc_put_total"),
		deletes: counter("etcd_mvcc_delete_total"), txns: counter("etcd_mvcc_txn_total"),
		putBytes: prometheus.NewGauge(prometheus.GaugeOpts{Name: size, Help: help(size)}),
	}
	if reg != nil {
		reg.MustRegister(k.ranges, k.puts, k.deletes, k.txns, k.putBytes)
	}
	return k
}

// Range implements etcdserverpb.KVServer.
func (k *KV) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	resp, err := k.KVServer.Range(ctx, r)
	if err == nil {
		k.ranges.Inc()
	}
	return resp, err
}

// RangeStream implements etcdserverpb.KVServer.
func (k *KV) RangeStream(r *pb.RangeRequest, s grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	err := k.KVServer.RangeStream(r, s)
	if err == nil {
		k.ranges.Inc()
	}
	return err
}

// Put implements etcdserverpb.KVServer.
func (k *KV) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	resp, err := k.KVServer.Put(ctx, r)
	if err == nil {
		k.put(r)
	}
	return resp, err
}

func (k *KV) put(r *pb.PutRequest) {
	k.puts.Inc()
	k.putBytes.Add(float64(len(r.Key) + len(r.Value)))
}

// DeleteRange implements etcdserverpb.KVServer.
func (k *KV) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	resp, err := k.KVServer.DeleteRange(ctx, r)
	if err == nil {
		k.deletes.Inc()
	}
	return resp, err
}

// Txn implements etcdserverpb.KVServer.
func (k *KV) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	resp, err := k.KVServer.Txn(ctx, r)
	if err == nil {
		k.txns.Inc()
		k.branch(r, resp)
	}
	return resp, err
}

// branch counts what a txn did, nested ones included.
func (k *KV) branch(r *pb.TxnRequest, resp *pb.TxnResponse) {
	ops := r.Failure
	if resp.Succeeded {
		ops = r.Success
	}
	for i, op := range ops {
		switch op := op.Request.(type) {
		case *pb.RequestOp_RequestRange:
			k.ranges.Inc()
		case *pb.RequestOp_RequestPut:
			k.put(op.RequestPut)
		case *pb.RequestOp_RequestDeleteRange:
			k.deletes.Inc()
		case *pb.RequestOp_RequestTxn:
			if i < len(resp.Responses) && resp.Responses[i].GetResponseTxn() != nil {
				k.branch(op.RequestTxn, resp.Responses[i].GetResponseTxn())
			}
		}
	}
}

// Lease counts what a Lease service does.
type Lease struct {
	pb.LeaseServer
	granted, revoked prometheus.Counter
	ttls             prometheus.Histogram
}

// NewLease counts what leases does.
func NewLease(reg prometheus.Registerer, leases pb.LeaseServer) *Lease {
	l := &Lease{
		LeaseServer: leases, granted: counter("etcd_debugging_lease_granted_total"), revoked: counter("etcd_debugging_lease_revoked_total"),
		ttls: histogram("etcd_debugging_lease_ttl_total", prometheus.ExponentialBuckets(1, 2, 24)),
	}
	if reg != nil {
		reg.MustRegister(l.granted, l.revoked, l.ttls)
	}
	return l
}

// LeaseGrant implements etcdserverpb.LeaseServer.
func (l *Lease) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	resp, err := l.LeaseServer.LeaseGrant(ctx, r)
	if err == nil {
		l.granted.Inc()
		l.ttls.Observe(float64(resp.TTL))
	}
	return resp, err
}

// LeaseRevoke implements etcdserverpb.LeaseServer.
func (l *Lease) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	resp, err := l.LeaseServer.LeaseRevoke(ctx, r)
	if err == nil {
		l.revoked.Inc()
	}
	return resp, err
}
