package auth

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// KV guards a KV service. As in etcd, a request that is wrong whoever sends it is
// told so before anybody asks who that is, and one that is too large before
// anybody asks what they may.
type KV struct {
	pb.KVServer
	guard *Guard
	lease leaseKeys
}

// KV returns kv guarded. leases tells what keys a lease has.
func (g *Guard) KV(kv pb.KVServer, leases pb.LeaseServer) *KV {
	return &KV{KVServer: kv, guard: g, lease: leaseKeys{leases}}
}

// Range implements etcdserverpb.KVServer.
func (s *KV) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if err := etcdop.CheckRange(r); err != nil {
		return nil, err
	}
	return fetch(ctx, s.guard, func(_ context.Context, c caller) error { return c.read(r.Key, r.RangeEnd) },
		func(ctx context.Context) (*pb.RangeResponse, error) { return s.KVServer.Range(ctx, r) })
}

// RangeStream implements etcdserverpb.KVServer. What is sent cannot be taken
// back, so the rules are confirmed first.
func (s *KV) RangeStream(r *pb.RangeRequest, stream grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	if err := etcdop.CheckRangeStream(r); err != nil {
		return err
	}
	_, err := confirmed(stream.Context(), s.guard, func(_ context.Context, c caller) error { return c.read(r.Key, r.RangeEnd) },
		func(context.Context) (struct{}, error) { return struct{}{}, s.KVServer.RangeStream(r, stream) })
	return err
}

// Put implements etcdserverpb.KVServer.
func (s *KV) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	if err := etcdop.CheckPut(r); err != nil {
		return nil, err
	}
	return write(ctx, s.guard, func(ctx context.Context, c caller) error {
		if err := c.fits(&pb.InternalRaftRequest{Put: r}); err != nil {
			return err
		}
		if err := c.put(r); err != nil {
			return err
		}
		return s.lease.writable(ctx, c, r.Lease)
	}, func(ctx context.Context) (*pb.PutResponse, error) { return s.KVServer.Put(ctx, r) })
}

// DeleteRange implements etcdserverpb.KVServer.
func (s *KV) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	if err := etcdop.CheckDelete(r); err != nil {
		return nil, err
	}
	return write(ctx, s.guard, func(_ context.Context, c caller) error {
		if err := c.fits(&pb.InternalRaftRequest{DeleteRange: r}); err != nil {
			return err
		}
		return c.delete(r)
	}, func(ctx context.Context) (*pb.DeleteRangeResponse, error) { return s.KVServer.DeleteRange(ctx, r) })
}

// Txn implements etcdserverpb.KVServer.
func (s *KV) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if err := etcdop.CheckTxn(r, s.guard.opts.MaxTxnOps); err != nil {
		return nil, err
	}
	reads := etcdop.ReadOnly(r)
	check := func(ctx context.Context, c caller) error {
		if !reads {
			if err := c.fits(&pb.InternalRaftRequest{Txn: r}); err != nil {
				return err
			}
		}
		if err := c.txn(r); err != nil {
			return err
		}
		return s.lease.writableIn(ctx, c, r)
	}
	run := func(ctx context.Context) (*pb.TxnResponse, error) { return s.KVServer.Txn(ctx, r) }
	if reads {
		return fetch(ctx, s.guard, check, run)
	}
	return write(ctx, s.guard, check, run)
}

// Compact implements etcdserverpb.KVServer.
func (s *KV) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	return confirmed(ctx, s.guard, isAdmin,
		func(ctx context.Context) (*pb.CompactionResponse, error) { return s.KVServer.Compact(ctx, r) })
}
