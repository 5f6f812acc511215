package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// compaction measures puts while all revisions but the last are compacted, and
// the same puts before it, at rest.
func compaction(k *keyspace, revisions, size, clients int) Workload {
	return Workload{
		Name: fmt.Sprintf("compact/%d/c%d", revisions, clients), Unit: "put", Limit: 15 * time.Minute,
		About: fmt.Sprintf("puts of %s while %d revisions over %d keys are compacted, until Compact(physical) returns; .../rest: the same before, at rest", sizeName(size), revisions, len(k.names)),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			if err := k.overwrite(ctx, t, revisions, size); err != nil {
				return nil, err
			}
			v := newValues(t.Seed, size)
			puts := load{clients: clients,
				client: func(_ context.Context, _ int, c *clientv3.Client, rng *rand.Rand) (op, error) {
					return putting(c, k.chooser(uniform, rng), v, rng), nil
				}}
			rest, err := t.loop(ctx, puts)
			if err != nil {
				return nil, err
			}
			return compactDuring(ctx, t, puts, rest, fmt.Sprintf("compact/%d/c%d/rest", revisions, clients))
		},
	}
}

// compactionBound is the longest window of a compaction.
const compactionBound = 2 * time.Minute

// compactDuring runs the load until a compaction of everything is complete.
func compactDuring(ctx context.Context, t *Target, puts load, rest *Outcome, restName string) (*Outcome, error) {
	c := t.Clients.Client(0)
	resp, err := c.Get(ctx, Prefix)
	if err != nil {
		return nil, err
	}
	finished := make(chan struct{})
	var failure error
	var took time.Duration
	go func() {
		defer close(finished)
		if !pause(ctx, t.Warmup, nil) { // the window begins with it
			return
		}
		began := time.Now()
		_, failure = c.Compact(ctx, resp.Header.Revision, clientv3.WithCompactPhysical())
		took = time.Since(began)
	}()
	puts.until, puts.window = finished, compactionBound
	out, err := t.loop(ctx, puts)
	if err != nil {
		return nil, err
	}
	select {
	case <-finished:
	default:
		return nil, fmt.Errorf("compaction took longer than %v", compactionBound)
	}
	if failure != nil {
		return nil, fmt.Errorf("compact: %w", failure)
	}
	out.Note = fmt.Sprintf("compaction took %.1f s", took.Seconds())
	out.Aspects = append(out.Aspects, Aspect{Name: restName, Unit: "put", Elapsed: rest.Elapsed, Latency: rest.Latency})
	return out, nil
}

// overwrite puts keys again and again, one revision each.
func (k *keyspace) overwrite(ctx context.Context, t *Target, revisions, size int) error {
	v := newValues(t.Seed, size)
	const writers = 512 // enough that both systems write in large batches
	return t.workers(ctx, writers, revisions, func(ctx context.Context, i int, c *clientv3.Client) error {
		rng := rand.New(rand.NewPCG(t.Seed, uint64(i)))
		_, err := c.Put(ctx, k.names[i%len(k.names)], v.next(rng))
		return err
	})
}
