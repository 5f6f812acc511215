package workload

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// put overwrites keys that exist.
func put(k *keyspace, how choice, size, clients int) Workload {
	name := "put/" + sizeName(size)
	if how != uniform {
		name += "/" + string(how)
	}
	about := fmt.Sprintf("%s values over keys that exist, chosen %s", sizeName(size), how)
	stretch := putStretch(how, size, clients)
	if stretch > 1 {
		about += fmt.Sprintf(", measured %d times as long as others", stretch)
	}
	return Workload{
		Name: fmt.Sprintf("%s/c%d", name, clients), Unit: "put",
		About: about,
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			v := newValues(t.Seed, size)
			return t.loop(ctx, load{clients: clients, stretch: stretch,
				client: func(_ context.Context, _ int, c *clientv3.Client, rng *rand.Rand) (op, error) {
					return putting(c, k.chooser(how, rng), v, rng), nil
				}})
		},
	}
}

// putStretch makes the windows of the puts with goals longer: an engine that flushes
// every ten seconds does it in all short windows of one workload and in none of
// another, and they take half as long again where it does.
func putStretch(how choice, size, clients int) int {
	if how == uniform && size == 256 && clients >= 64 {
		return 4
	}
	return 1
}

// putting is the operation of a client that puts.
func putting(c *clientv3.Client, key func() string, v *values, rng *rand.Rand) op {
	return func(ctx context.Context) (done, error) {
		name := key()
		_, err := c.Put(ctx, name, v.next(rng))
		return done{bytes: int64(len(name) + v.size)}, err
	}
}

func sizeName(bytes int) string {
	if bytes >= 1024 {
		return fmt.Sprintf("%dKiB", bytes/1024)
	}
	return fmt.Sprintf("%dB", bytes)
}
