package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ttl of leases in seconds: none expires while it is measured.
const ttl = 600

// leaseClient returns the operation of the i-th client.
type leaseClient func(ctx context.Context, v *values, i int, c *clientv3.Client, rng *rand.Rand) (op, error)

func leaseWorkload(what, about string, size, clients int, client leaseClient) Workload {
	return Workload{
		Name: fmt.Sprintf("lease/%s/c%d", what, clients), Unit: what, About: about,
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			v := newValues(t.Seed, size)
			return t.loop(ctx, load{clients: clients,
				client: func(ctx context.Context, i int, c *clientv3.Client, rng *rand.Rand) (op, error) {
					return client(ctx, v, i, c, rng)
				}})
		},
	}
}

func grant(clients int) Workload {
	return leaseWorkload("grant", "leases that outlive the run", 0, clients,
		func(_ context.Context, _ *values, _ int, c *clientv3.Client, _ *rand.Rand) (op, error) {
			return func(ctx context.Context) (done, error) {
				resp, err := c.Grant(ctx, ttl)
				if err == nil && resp.ID == 0 {
					err = wrong("a lease without id")
				}
				return done{}, err
			}, nil
		})
}

// keepalive renews one lease per client on a stream of its own, as the official
// client's KeepAlive does, but without waiting for a third of the TTL.
func keepalive(clients int) Workload {
	return leaseWorkload("keepalive", "one lease and one stream per client, each answer awaited", 0, clients,
		func(ctx context.Context, _ *values, _ int, c *clientv3.Client, _ *rand.Rand) (op, error) {
			lease, err := c.Grant(ctx, ttl)
			if err != nil {
				return nil, err
			}
			stream, err := pb.NewLeaseClient(c.ActiveConnection()).LeaseKeepAlive(ctx)
			if err != nil {
				return nil, err
			}
			return func(context.Context) (done, error) {
				if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(lease.ID)}); err != nil {
					return done{}, err
				}
				resp, err := stream.Recv()
				if err == nil && (resp.ID != int64(lease.ID) || resp.TTL <= 0) {
					err = wrong("keepalive of lease %x answered id %x, ttl %d", lease.ID, resp.ID, resp.TTL)
				}
				return done{}, err
			}, nil
		})
}

// revoke ends leases that have one key each.
func revoke(k *keyspace, size, clients int) Workload {
	return leaseWorkload("revoke", "leases with one key each; grant and put before are untimed but counted in what servers use", size, clients,
		func(_ context.Context, v *values, i int, c *clientv3.Client, rng *rand.Rand) (op, error) {
			key := fmt.Sprintf("%srevoked/%04d", k.prefix, i)
			return func(ctx context.Context) (done, error) {
				lease, err := c.Grant(ctx, ttl)
				if err != nil {
					return done{}, err
				}
				if _, err := c.Put(ctx, key, v.next(rng), clientv3.WithLease(lease.ID)); err != nil {
					return done{}, err
				}
				began := time.Now()
				_, err = c.Revoke(ctx, lease.ID)
				return done{bytes: int64(len(key) + size), took: time.Since(began)}, err
			}, nil
		})
}

// attach puts keys with a lease, each client with a lease of its own.
func attach(k *keyspace, size, clients int) Workload {
	return leaseWorkload("attach", fmt.Sprintf("puts of %s with a lease; one lease per client", sizeName(size)), size, clients,
		func(ctx context.Context, v *values, _ int, c *clientv3.Client, rng *rand.Rand) (op, error) {
			lease, err := c.Grant(ctx, ttl)
			if err != nil {
				return nil, err
			}
			key := k.chooser(uniform, rng)
			return func(ctx context.Context) (done, error) {
				name := key()
				_, err := c.Put(ctx, name, v.next(rng), clientv3.WithLease(lease.ID))
				return done{bytes: int64(len(name) + size)}, err
			}, nil
		})
}
