package greedy

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/dial"
)

// scenario is one kind of greed.
type scenario struct {
	name  string
	about string
	// fill writes what the greedy clients will ask for. Nil: nothing.
	fill func(ctx context.Context, pool *dial.Pool) error
	// greed asks until ctx ends (I4). Its error is that it could not begin: how
	// requests end is counted.
	greed func(ctx context.Context, endpoints []string, t *tally) error
}

// scenarios are all there are, in the order in which they run.
func (o *Options) scenarios() []scenario {
	return []scenario{
		{"hot", fmt.Sprintf("%d clients put to one range", o.HotClients), nil, o.hot},
		{"list", fmt.Sprintf("%d lists of %d MiB at a time", o.Lists, o.ListBytes>>20), o.fillList, o.list},
		{"slow-list", fmt.Sprintf("%d lists of %d MiB that nobody reads", o.Lists, o.ListBytes>>20), o.fillList, o.slowList},
		{"slow-watch", fmt.Sprintf("%d watches of large values that nobody reads", o.SlowWatchers), nil, o.slowWatch},
		{"watchers", fmt.Sprintf("%d watches of one prefix", o.Watchers), nil, o.watchers},
		{"inflight", fmt.Sprintf("%d MiB of puts at once on one connection", o.InFlight>>20), nil, o.inflight},
	}
}

// chosen are those to run.
func (o *Options) chosen() []scenario {
	return slices.DeleteFunc(o.scenarios(), func(s scenario) bool { return !slices.Contains(o.Scenarios, s.name) })
}

// Names returns the names of all scenarios.
func Names() (names []string) {
	for _, s := range (&Options{}).scenarios() {
		names = append(names, s.name)
	}
	return names
}

// fillers is how many puts of a fill are under way.
const fillers = 32

// fill writes n keys of a prefix, again what a node has no room for yet.
func fill(ctx context.Context, pool *dial.Pool, prefix string, n int, value string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fillers)
	for i := range n {
		g.Go(func() error {
			for {
				_, err := pool.Client(i).Put(ctx, numbered(prefix, i), value)
				switch {
				case err == nil:
					return nil
				case !dial.TooMany(err) || !pause(ctx, afterError):
					return fmt.Errorf("fill: %w", err)
				}
			}
		})
	}
	return g.Wait()
}
