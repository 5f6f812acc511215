package workload

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// keyspace is the keys of a group.
type keyspace struct {
	prefix string
	names  []string
}

func newKeyspace(name string, n int) *keyspace {
	k := &keyspace{prefix: Prefix + name + "/"}
	for i := range n {
		k.names = append(k.names, fmt.Sprintf("%s%08d", k.prefix, i))
	}
	return k
}

// splits cuts the keys into n ranges; what lies before the first key belongs to
// the first of them.
func (k *keyspace) splits(n int) []string {
	var out []string
	for i := 1; i < n; i++ {
		out = append(out, k.names[i*len(k.names)/n])
	}
	return out
}

// A fill sends transactions of 100 puts, of the 128 that etcd allows.
const (
	fillBatch   = 100
	fillWriters = 32
)

// fill writes every key once.
func (k *keyspace) fill(size int) func(context.Context, *Target) error {
	return func(ctx context.Context, t *Target) error {
		v := newValues(t.Seed, size)
		batches := (len(k.names) + fillBatch - 1) / fillBatch
		return t.workers(ctx, fillWriters, batches, func(ctx context.Context, i int, c *clientv3.Client) error {
			rng := rand.New(rand.NewPCG(t.Seed, uint64(i)))
			var puts []clientv3.Op
			for _, key := range k.names[i*fillBatch : min((i+1)*fillBatch, len(k.names))] {
				puts = append(puts, clientv3.OpPut(key, v.next(rng)))
			}
			_, err := c.Txn(ctx).Then(puts...).Commit()
			return err
		})
	}
}

// choice is how clients choose keys.
type choice string

const (
	uniform choice = "uniform"
	zipf    choice = "zipf" // a tenth of the keys gets most of the requests
	hot     choice = "hot"  // all requests go to the last sixteenth: one range
)

// chooser returns a function that draws keys.
func (k *keyspace) chooser(how choice, rng *rand.Rand) func() string {
	n := len(k.names)
	switch how {
	case zipf:
		z := rand.NewZipf(rng, 1.01, 1, uint64(n-1))
		// Popular keys lie all over the keyspace: the order is scattered.
		return func() string { return k.names[int(z.Uint64()*2654435761%uint64(n))] }
	case hot:
		first := n - n/16
		return func() string { return k.names[first+rng.IntN(n-first)] }
	}
	return func() string { return k.names[rng.IntN(n)] }
}

// values are pieces of one text that does not compress (I5).
type values struct {
	text string
	size int
}

const textSize = 1 << 20

func newValues(seed uint64, size int) *values {
	rng := rand.New(rand.NewPCG(seed, 2))
	b := make([]byte, textSize)
	for i := range b {
		b[i] = byte('!' + rng.IntN(90))
	}
	return &values{string(b), size}
}

// next draws a value.
func (v *values) next(rng *rand.Rand) string {
	at := rng.IntN(len(v.text) - v.size)
	return v.text[at : at+v.size]
}
