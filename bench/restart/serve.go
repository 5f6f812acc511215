package restart

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/proc"
)

// restart kills all nodes, starts them and looks when they serve.
func (o *Options) restart(ctx context.Context, c *cluster.Cluster, n int) (r Restart, err error) {
	nodes := c.Nodes()
	for _, one := range nodes {
		if err := one.Kill(); err != nil {
			return r, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.ServeLimit)
	defer cancel()
	began := time.Now() // I1
	for _, one := range nodes {
		if err := one.Start(); err != nil {
			return r, err
		}
	}
	served := make([]time.Duration, len(nodes))
	g, together := errgroup.WithContext(ctx)
	for i, one := range nodes {
		g.Go(func() (err error) {
			if err = o.awaitRead(together, one, (n*len(nodes)+i)*o.Keys/(o.Restarts*len(nodes))); err == nil {
				served[i] = time.Since(began)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return r, err
	}
	r.FirstSeconds, r.AllSeconds = served[0].Seconds(), served[0].Seconds()
	for _, s := range served[1:] {
		r.FirstSeconds, r.AllSeconds = min(r.FirstSeconds, s.Seconds()), max(r.AllSeconds, s.Seconds())
	}
	if r.Serving, err = memory(nodes); err != nil {
		return r, err
	}
	if err := pause(ctx, o.Rest); err != nil {
		return r, err
	}
	r.Rested, err = memory(nodes)
	return r, err
}

// awaitRead tries one node until it answers a linearizable read. Before there is
// a listener no client is opened: its backoff would be measured.
func (o *Options) awaitRead(ctx context.Context, n *cluster.Node, key int) error {
	const lookEvery, oneRead = 5 * time.Millisecond, 5 * time.Second
	var last error
	for {
		if last = o.readOnce(ctx, n, key, oneRead); last == nil {
			return nil
		}
		if !n.Running() {
			return fmt.Errorf("%s ended while starting, see %s", n.Name, n.LogFile)
		}
		if err := pause(ctx, lookEvery); err != nil {
			return fmt.Errorf("%s does not serve: %w (last: %w)", n.Name, err, last)
		}
	}
}

func (o *Options) readOnce(ctx context.Context, n *cluster.Node, key int, limit time.Duration) error {
	conn, err := net.DialTimeout("tcp", n.Endpoint, time.Second)
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	cl, err := dial.Open(dial.Options{Endpoints: []string{n.Endpoint}})
	if err != nil {
		return err
	}
	defer cl.Close()
	one, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp, err := cl.Get(one, keyName(key))
	if err != nil {
		return err
	}
	if len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != o.value(key) {
		return fmt.Errorf("%s lost %q: %v", n.Name, keyName(key), resp.Kvs)
	}
	return nil
}

// memory sums what the processes hold.
func memory(nodes []*cluster.Node) (m Memory, err error) {
	for _, n := range nodes {
		p, err := proc.Read(n.Pid())
		if err != nil {
			return m, err
		}
		own, err := proc.Anonymous(n.Pid())
		if err != nil {
			return m, err
		}
		m.Resident += p.Resident
		m.Anonymous += own
	}
	return m, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
