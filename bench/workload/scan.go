package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// scan reads n keys in one answer, from a random key on.
func scan(k *keyspace, n, clients int) Workload {
	return Workload{
		Name: fmt.Sprintf("range/%d/c%d", n, clients), Unit: "range",
		About: fmt.Sprintf("%d of %d keys in one answer, from a random key on", n, len(k.names)),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			end := clientv3.GetPrefixRangeEnd(k.prefix)
			return t.loop(ctx, load{clients: clients,
				client: func(_ context.Context, _ int, c *clientv3.Client, rng *rand.Rand) (op, error) {
					return func(ctx context.Context) (done, error) {
						first := rng.IntN(len(k.names) - n + 1)
						resp, err := c.Get(ctx, k.names[first], clientv3.WithRange(end), clientv3.WithLimit(int64(n)))
						if err == nil && (len(resp.Kvs) != n || string(resp.Kvs[n-1].Key) != k.names[first+n-1]) {
							err = wrong("range of %d keys from %q returned %d", n, k.names[first], len(resp.Kvs))
						}
						return done{}, err
					}, nil
				}})
		},
	}
}

// page is keys per page of a list, as Kubernetes' clients have it.
const page = 500

// listWindow is the shortest window in which a few lists end.
const listWindow = 8 * time.Second

// list reads all keys in pages at the revision of the first one.
func list(k *keyspace, clients int) Workload {
	return Workload{
		Name: fmt.Sprintf("list/%d/c%d", len(k.names), clients), Unit: "list",
		About: fmt.Sprintf("all %d keys in pages of %d at one revision; the latency is that of the whole list", len(k.names), page),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			return t.loop(ctx, load{clients: clients, least: listWindow,
				client: func(_ context.Context, _ int, c *clientv3.Client, _ *rand.Rand) (op, error) {
					return func(ctx context.Context) (done, error) { return done{}, k.listAll(ctx, c) }, nil
				}})
		},
	}
}

// listAll reads page after page and checks that every key came once.
func (k *keyspace) listAll(ctx context.Context, c *clientv3.Client) error {
	end := clientv3.GetPrefixRangeEnd(k.prefix)
	start, seen, revision := k.prefix, 0, int64(0)
	for {
		resp, err := c.Get(ctx, start, clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithRev(revision))
		if err != nil {
			return err
		}
		if revision == 0 {
			revision = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			if seen == len(k.names) || string(kv.Key) != k.names[seen] {
				return wrong("key %d of a list is %q", seen, kv.Key)
			}
			seen++
		}
		switch {
		case !resp.More && seen == len(k.names):
			return nil
		case !resp.More || len(resp.Kvs) == 0:
			return wrong("a list ended after %d of %d keys", seen, len(k.names))
		}
		start = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// count asks how many keys there are.
func count(k *keyspace, clients int) Workload {
	return Workload{
		Name: fmt.Sprintf("count/%d/c%d", len(k.names), clients), Unit: "count",
		About: fmt.Sprintf("count_only over all %d keys", len(k.names)),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			return t.loop(ctx, load{clients: clients,
				client: func(_ context.Context, _ int, c *clientv3.Client, _ *rand.Rand) (op, error) {
					return func(ctx context.Context) (done, error) {
						resp, err := c.Get(ctx, k.prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
						if err == nil && resp.Count != int64(len(k.names)) {
							err = wrong("count of %d keys is %d", len(k.names), resp.Count)
						}
						return done{}, err
					}, nil
				}})
		},
	}
}
