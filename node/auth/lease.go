package auth

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// Lease guards a Lease service. Whoever ends or keeps a lease decides about all
// its keys, and must be allowed to write them.
type Lease struct {
	pb.LeaseServer
	guard *Guard
	keys  leaseKeys
}

// Lease returns leases guarded.
func (g *Guard) Lease(leases pb.LeaseServer) *Lease {
	return &Lease{LeaseServer: leases, guard: g, keys: leaseKeys{leases}}
}

// LeaseGrant implements etcdserverpb.LeaseServer: for whoever authenticated. A
// grant names no key, so no leader checks its epoch (I2); it is confirmed instead.
func (s *Lease) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return confirmed(ctx, s.guard, isKnown, func(ctx context.Context) (*pb.LeaseGrantResponse, error) { return s.LeaseServer.LeaseGrant(ctx, r) })
}

// LeaseRevoke implements etcdserverpb.LeaseServer.
func (s *Lease) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	return write(ctx, s.guard, func(ctx context.Context, c caller) error { return s.keys.writable(ctx, c, r.ID) },
		func(ctx context.Context) (*pb.LeaseRevokeResponse, error) { return s.LeaseServer.LeaseRevoke(ctx, r) })
}

// LeaseTimeToLive implements etcdserverpb.LeaseServer. The time is for whoever
// authenticated; keys are for who may read them, and those are checked that are
// given away.
func (s *Lease) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	rules, err := s.guard.Confirmed(ctx)
	if err != nil {
		return nil, err
	}
	if err := rules.allow(ctx, isKnown); err != nil {
		return nil, err
	}
	resp, err := s.LeaseServer.LeaseTimeToLive(ctx, r)
	if err != nil {
		return nil, err
	}
	err = rules.allow(ctx, func(_ context.Context, c caller) error {
		for _, key := range resp.Keys {
			if err := c.read(key, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// LeaseLeases implements etcdserverpb.LeaseServer.
func (s *Lease) LeaseLeases(ctx context.Context, r *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	var found *pb.LeaseLeasesResponse
	return confirmed(ctx, s.guard, func(ctx context.Context, c caller) (err error) {
		if err := c.known(); err != nil {
			return err
		}
		if c.admin() == nil {
			return nil
		}
		if found, err = s.LeaseServer.LeaseLeases(ctx, r); err != nil {
			return err
		}
		for _, l := range found.Leases {
			if err := s.keys.readable(ctx, c, l.ID); err != nil {
				return err
			}
		}
		return nil
	}, func(ctx context.Context) (*pb.LeaseLeasesResponse, error) {
		if found != nil {
			return found, nil // its leases are the ones that were checked
		}
		return s.LeaseServer.LeaseLeases(ctx, r)
	})
}

// LeaseKeepAlive implements etcdserverpb.LeaseServer. It asks nobody for the
// epoch: a failover of the root range expires nobody's session (P39).
func (s *Lease) LeaseKeepAlive(stream pb.Lease_LeaseKeepAliveServer) error {
	return s.LeaseServer.LeaseKeepAlive(&keepAlives{stream, s})
}

// keepAlives checks each lease that comes in.
type keepAlives struct {
	pb.Lease_LeaseKeepAliveServer
	s *Lease
}

// Recv implements grpc.BidiStreamingServer.
func (k *keepAlives) Recv() (*pb.LeaseKeepAliveRequest, error) {
	r, err := k.Lease_LeaseKeepAliveServer.Recv()
	if err != nil {
		return nil, err
	}
	_, err = k.s.guard.allow(k.Context(), func(ctx context.Context, c caller) error { return k.s.keys.writable(ctx, c, r.ID) })
	return r, err
}

var _ grpc.ServerStream = (*keepAlives)(nil)

// leaseKeys finds the keys of a lease.
type leaseKeys struct{ leases pb.LeaseServer }

func (l leaseKeys) each(ctx context.Context, c caller, lease int64, check func(key []byte) error) error {
	if err := c.known(); err != nil {
		return err
	}
	if lease == 0 || c.admin() == nil {
		return nil
	}
	resp, err := l.leases.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: lease, Keys: true})
	if err == rpctypes.ErrGRPCLeaseNotFound {
		return nil // there is nothing to protect
	}
	if err != nil {
		return err
	}
	for _, key := range resp.Keys {
		if err := check(key); err != nil {
			return err
		}
	}
	return nil
}

func (l leaseKeys) writable(ctx context.Context, c caller, lease int64) error {
	return l.each(ctx, c, lease, func(key []byte) error { return c.store.IsPutPermitted(c.info, key) })
}

func (l leaseKeys) readable(ctx context.Context, c caller, lease int64) error {
	return l.each(ctx, c, lease, func(key []byte) error { return c.read(key, nil) })
}

// writableIn checks the lease of every put of a txn.
func (l leaseKeys) writableIn(ctx context.Context, c caller, r *pb.TxnRequest) error {
	for _, ops := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			var err error
			if p := op.GetRequestPut(); p != nil {
				err = l.writable(ctx, c, p.Lease)
			} else if t := op.GetRequestTxn(); t != nil {
				err = l.writableIn(ctx, c, t)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
