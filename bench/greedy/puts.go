package greedy

import (
	"context"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/filler"
)

const (
	hotConnections = 16
	hotKeys        = 64 // of each client
	hotValue       = 256
	mostHot        = 1_000_000 // puts

	largeValue = 1 << 20 // with its key below etcd's limit of a request
	mostLarge  = 2 << 30 / largeValue
)

// hot puts small values to one range.
func (o *Options) hot(ctx context.Context, endpoints []string, t *tally) error {
	pool, err := dial.OpenPool(endpoints, hotConnections)
	if err != nil {
		return err
	}
	defer pool.Close()
	value, turn := filler.Text(hotValue), make([]int, o.HotClients)
	repeat(ctx, o.HotClients, mostHot, t, func(ctx context.Context, i int) error {
		turn[i]++
		_, err := pool.Client(i).Put(ctx, numbered(o.target("hot"), i*hotKeys+turn[i]%hotKeys), value)
		return err
	})
	return nil
}

// inflight keeps many large puts under way on one connection.
func (o *Options) inflight(ctx context.Context, endpoints []string, t *tally) error {
	c, err := dial.Open(dial.Options{Endpoints: endpoints[:1]})
	if err != nil {
		return err
	}
	defer c.Close()
	value := filler.Text(largeValue)
	repeat(ctx, int(o.InFlight/largeValue), mostLarge, t, func(ctx context.Context, i int) error {
		_, err := c.Put(ctx, numbered(o.target("inflight"), i), value)
		return err
	})
	return nil
}
