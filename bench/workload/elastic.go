package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// elastic is puts and gets, half and half, while ranges split and replicas and
// leaderships move, and the same before it, at rest. A system without ranges has
// the same load twice.
func elastic(k *keyspace, size, clients int) Workload {
	name := fmt.Sprintf("elastic/moving/c%d", clients)
	return Workload{
		Name: name, Unit: "request",
		About: "puts and linearizable gets, half and half, while ranges split and replicas and leaderships move; .../rest: the same before, at rest",
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			v := newValues(t.Seed, size)
			mix := load{clients: clients, least: shakeWindow,
				client: func(_ context.Context, _ int, c *clientv3.Client, rng *rand.Rand) (op, error) {
					key := k.chooser(uniform, rng)
					put, get := putting(c, key, v, rng), getting(c, key)
					return func(ctx context.Context) (done, error) {
						if rng.IntN(2) == 0 {
							return put(ctx)
						}
						return get(ctx)
					}, nil
				}}
			rest, err := t.loop(ctx, mix)
			if err != nil {
				return nil, err
			}
			out, err := t.shaken(ctx, mix)
			if err != nil {
				return nil, err
			}
			out.Aspects = append(out.Aspects, Aspect{Name: name + "/rest", Unit: "request", Elapsed: rest.Elapsed, Latency: rest.Latency})
			return out, nil
		},
	}
}

// shakeWindow is the shortest window in which a few replicas move.
const shakeWindow = 3 * time.Second

// shaken runs a load while the shaker works. Nothing shaken is an error: it would
// be a figure of something else.
func (t *Target) shaken(ctx context.Context, l load) (*Outcome, error) {
	if t.Shaker == nil {
		return t.loop(ctx, l)
	}
	shaking, stop := context.WithCancel(ctx)
	defer stop()
	var splits, moves, transfers int
	var failure error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		splits, moves, transfers, failure = t.Shaker.Shake(shaking)
	}()
	out, err := t.loop(ctx, l)
	stop()
	<-ended
	if err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, fmt.Errorf("shake: %w", failure)
	}
	if splits == 0 || moves == 0 {
		return nil, fmt.Errorf("shake: %d splits and %d moves in the window", splits, moves)
	}
	out.Note = fmt.Sprintf("%d splits, %d moves, %d transfers", splits, moves, transfers)
	return out, nil
}
