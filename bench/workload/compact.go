package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// settle is the time for each revision written in which a store puts away what it
// still has to, so that rest is rest: 20 s for a million.
const settle = 20 * time.Microsecond

// compaction measures puts while all revisions but the last are compacted, and
// the same puts before it, at rest.
func compaction(k *keyspace, revisions, size, clients int) Workload {
	name := fmt.Sprintf("compact/%d/c%d", revisions, clients)
	return Workload{
		Name: name, Unit: "put", Limit: 15 * time.Minute,
		About: fmt.Sprintf("puts of %s while %d revisions over %d keys are compacted, until Compact(physical) returns; .../rest: the same before, at rest", sizeName(size), revisions, len(k.names)),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			if err := k.overwrite(ctx, t, revisions, size); err != nil {
				return nil, err
			}
			if !pause(ctx, time.Duration(revisions)*settle, nil) {
				return nil, context.Cause(ctx)
			}
			return t.putsWhile(ctx, k, size, clients, name, func(ctx context.Context, c *clientv3.Client) error {
				resp, err := c.Get(ctx, Prefix)
				if err != nil {
					return err
				}
				_, err = c.Compact(ctx, resp.Header.Revision, clientv3.WithCompactPhysical())
				return err
			})
		},
	}
}

// defragmentation measures puts while every node in turn is told to defragment,
// which holds etcd's nodes up and is nothing to Pontoon's.
func defragmentation(k *keyspace, size, clients int) Workload {
	name := fmt.Sprintf("defragment/c%d", clients)
	return Workload{
		Name: name, Unit: "put", Limit: 5 * time.Minute,
		About: fmt.Sprintf("puts of %s while every node in turn defragments what was compacted; .../rest: the same before, at rest", sizeName(size)),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			return t.putsWhile(ctx, k, size, clients, name, func(ctx context.Context, c *clientv3.Client) error {
				for _, endpoint := range t.Clients.Endpoints() {
					if _, err := c.Defragment(ctx, endpoint); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// actionBound is the longest window of what puts are measured beside.
const actionBound = 2 * time.Minute

// putsWhile measures puts at rest, and then from the start of an action until it
// has ended and a window at least has passed.
func (t *Target) putsWhile(ctx context.Context, k *keyspace, size, clients int, name string, action func(context.Context, *clientv3.Client) error) (*Outcome, error) {
	v := newValues(t.Seed, size)
	puts := load{clients: clients,
		client: func(_ context.Context, _ int, c *clientv3.Client, rng *rand.Rand) (op, error) {
			return putting(c, k.chooser(uniform, rng), v, rng), nil
		}}
	rest, err := t.loop(ctx, puts)
	if err != nil {
		return nil, err
	}
	ended, over := make(chan error, 1), make(chan struct{})
	var took time.Duration
	go func() {
		defer close(over)
		if !pause(ctx, t.Warmup, nil) { // the window begins with it
			ended <- context.Cause(ctx)
			return
		}
		began := time.Now()
		err := action(ctx, t.Clients.Client(0))
		took = time.Since(began)
		ended <- err
		pause(ctx, t.Window-took, nil)
	}()
	puts.until, puts.window = over, actionBound
	out, err := t.loop(ctx, puts)
	if err != nil {
		return nil, err
	}
	select {
	case err := <-ended:
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	default:
		return nil, fmt.Errorf("%s took longer than %v", name, actionBound)
	}
	out.Note = fmt.Sprintf("took %.2f s", took.Seconds())
	out.Aspects = append(out.Aspects, Aspect{Name: name + "/rest", Unit: "put", Elapsed: rest.Elapsed, Latency: rest.Latency})
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
