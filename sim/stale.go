package sim

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/robust"
	"github.com/pontoon-kv/pontoon/bench/verify"
)

const (
	staleID      = clients + 2 // as a client
	staleEvery   = 60 * time.Millisecond
	staleTimeout = time.Second
)

// staleReaders make serializable reads through one gateway each. An answer may be
// of the past; it must be the state at the revision that it names, which is how far
// the replicas of one node say that they are closed.
type staleReaders struct {
	t  *robust.Traffic
	wg sync.WaitGroup

	mu   sync.Mutex
	seen []verify.Operation
}

// start begins a reader per gateway; they go on until ctx ends.
func (r *staleReaders) start(ctx context.Context, c *cluster) error {
	for i, endpoint := range c.gateways {
		client, err := r.t.Open(endpoint)
		if err != nil {
			return err
		}
		rng := r.t.Rand(3000 + i)
		r.wg.Go(func() { r.loop(ctx, client, rng) })
	}
	return nil
}

func (r *staleReaders) loop(ctx context.Context, client *clientv3.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		end := ""
		if rng.IntN(4) == 0 {
			end = robust.SpanEnd
		}
		r.read(context.WithoutCancel(ctx), client, robust.KeyName(rng.IntN(keys)), end)
		sleep(ctx, time.Duration(rng.Int64N(int64(2*staleEvery))))
	}
}

// read reads a key, or a span.
func (r *staleReaders) read(ctx context.Context, client *clientv3.Client, key, end string) {
	ctx, cancel := context.WithTimeout(ctx, staleTimeout)
	defer cancel()
	op := verify.Op{Kind: verify.OpGet, Key: key, End: end}
	opts := []clientv3.OpOption{clientv3.WithSerializable()}
	if end != "" {
		opts = append(opts, clientv3.WithRange(end))
	}
	resp, err := client.Get(ctx, op.Key, opts...)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, verify.Operation{
		Client: staleID, Request: one(op), Outcome: verify.Done,
		Response: verify.Response{Rev: verify.Revision(resp.Header.Revision), Succeeded: true, Results: []verify.Result{robust.ReadResult(resp)}},
	})
}

// stop waits for the readers, whose ctx has ended, and returns what they saw of
// revisions that the history knows.
func (r *staleReaders) stop() (seen []verify.Operation) {
	r.wg.Wait()
	for _, o := range r.seen {
		if o.Response.Rev >= r.t.Base() {
			seen = append(seen, o)
		}
	}
	return seen
}
