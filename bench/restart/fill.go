package restart

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
)

// value of the i-th key: no two are alike, none compresses away.
func (o *Options) value(i int) string {
	rng := rand.New(rand.NewPCG(7, uint64(i)))
	b := make([]byte, o.ValueSize)
	for at := 0; at < len(b); {
		for bits, n := rng.Uint64(), 0; n < 8 && at < len(b); at, n, bits = at+1, n+1, bits>>8 {
			b[at] = byte('!' + bits%90)
		}
	}
	return string(b)
}

// fill writes every key once, many in one transaction.
func (o *Options) fill(ctx context.Context, c *cluster.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, o.FillLimit)
	defer cancel()
	for i := 1; i < o.Ranges; i++ {
		if err := c.Split(ctx, keyName(i*o.Keys/o.Ranges)); err != nil {
			return err
		}
	}
	pool, err := dial.OpenPool(c.Endpoints(), o.Writers)
	if err != nil {
		return err
	}
	defer pool.Close()
	txns := (o.Keys + o.Txn - 1) / o.Txn
	var next, done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for w := range o.Writers {
		g.Go(func() error {
			for {
				n := int(next.Add(1)) - 1
				if n >= txns {
					return nil
				}
				if err := o.txn(ctx, pool.Client(w), n); err != nil {
					return fmt.Errorf("fill: %w", err)
				}
				if d := int(done.Add(1)); d%100 == 0 || d == txns {
					o.Progress("fill "+string(c.Kind()), d*o.Txn, txns*o.Txn)
				}
			}
		})
	}
	return g.Wait()
}

// txn writes the n-th block of keys. What a busy cluster did not do in time is
// written again: the same keys, the same values.
func (o *Options) txn(ctx context.Context, c *clientv3.Client, n int) (err error) {
	var ops []clientv3.Op
	for i := n * o.Txn; i < min((n+1)*o.Txn, o.Keys); i++ {
		ops = append(ops, clientv3.OpPut(keyName(i), o.value(i)))
	}
	for range 5 {
		one, cancel := context.WithTimeout(ctx, 20*time.Second)
		_, err = c.Txn(one).Then(ops...).Commit()
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// count says how many keys there are.
func (o *Options) count(ctx context.Context, c *cluster.Cluster) error {
	cl, err := dial.Open(dial.Options{Endpoints: c.Endpoints()})
	if err != nil {
		return err
	}
	defer cl.Close()
	one, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	resp, err := cl.Get(one, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	if resp.Count != int64(o.Keys) { // I2
		return fmt.Errorf("%d keys are there of %d", resp.Count, o.Keys)
	}
	return nil
}
