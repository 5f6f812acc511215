package workload

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// get reads single keys that exist, linearizably or from the node asked.
func get(k *keyspace, serializable bool, clients int) Workload {
	kind := "linear"
	var opts []clientv3.OpOption
	if serializable {
		kind, opts = "serial", append(opts, clientv3.WithSerializable())
	}
	return Workload{
		Name: fmt.Sprintf("get/%s/c%d", kind, clients), Unit: "get",
		About: "single keys that exist, chosen uniformly",
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			return t.loop(ctx, load{clients: clients,
				client: func(_ context.Context, _ int, c *clientv3.Client, rng *rand.Rand) (op, error) {
					return getting(c, k.chooser(uniform, rng), opts...), nil
				}})
		},
	}
}

// getting is the operation of a client that gets keys that exist.
func getting(c *clientv3.Client, key func() string, opts ...clientv3.OpOption) op {
	return func(ctx context.Context) (done, error) {
		name := key()
		resp, err := c.Get(ctx, name, opts...)
		if err == nil && (len(resp.Kvs) != 1 || string(resp.Kvs[0].Key) != name) {
			err = wrong("get %q returned %d keys", name, len(resp.Kvs))
		}
		return done{}, err
	}
}
