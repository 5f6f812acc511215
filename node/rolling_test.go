package node_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// prober writes every 10 ms through the official client with its default
// retries, and notes failures and the longest time without a success.
type prober struct {
	client *clientv3.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	written []int64 // revisions
	last    time.Time
	gap     time.Duration
	done    int
	failure error
}

const probeInterval = 10 * time.Millisecond

func (c *cluster) probe() *prober {
	c.t.Helper()
	var endpoints []string
	for _, nd := range c.nodes {
		endpoints = append(endpoints, nd.addr)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &prober{client: client, cancel: cancel, last: time.Now()}
	c.t.Cleanup(func() {
		cancel()
		p.wg.Wait()
		client.Close()
	})
	p.wg.Go(func() { p.run(ctx) })
	return p
}

func (p *prober) run(ctx context.Context) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		key := []string{"a", "z"}[i%2] // two ranges
		request, cancel := context.WithTimeout(ctx, 10*time.Second)
		resp, err := p.client.Put(request, key, fmt.Sprint(i))
		cancel()
		if ctx.Err() != nil {
			return
		}
		p.note(resp, err)
	}
}

func (p *prober) note(resp *clientv3.PutResponse, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if p.failure == nil {
			p.failure = err
		}
		return
	}
	p.done++
	p.written = append(p.written, resp.Header.Revision)
	p.gap = max(p.gap, time.Since(p.last))
	p.last = time.Now()
}

// take returns the longest gap since the last call.
func (p *prober) take() (gap time.Duration, done int, failure error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gap, done, failure = p.gap, p.done, p.failure
	p.gap, p.done = 0, 0
	return gap, done, failure
}

// settle waits for so many more writes.
func (p *prober) settle(t *testing.T, writes int) {
	t.Helper()
	p.mu.Lock()
	p.done = 0
	p.mu.Unlock()
	wait(t, "the prober to go on", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.done >= writes || p.failure != nil
	})
}

// A graceful restart of each node in turn fails no request of the official
// client, and a watch and a lease kept alive by it live through all of them. How
// long the client notices is bounded generously here, as the machine may be busy,
// but below an election timeout: nothing waits for one.
func TestRollingRestartFailsNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, calm)
	c.nodes[0].split("m")
	p := c.probe()
	ctx := within(t, 3*time.Minute)
	lease, err := p.client.Grant(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.client.Put(ctx, "leased", "1", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	alive, err := p.client.KeepAlive(ctx, lease.ID)
	if err != nil {
		t.Fatal(err)
	}
	var seen seenKeys
	go seen.follow(p.client.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(1)))
	go func() {
		for range alive {
		}
	}()
	p.settle(t, 20)
	for _, nd := range c.nodes {
		p.take()
		began := time.Now()
		nd.stop()
		stopped := time.Since(began)
		p.settle(t, 20)
		away, _, _ := p.take()
		nd.start()
		nd.waitReady()
		p.settle(t, 50)
		back, _, failure := p.take()
		t.Logf("%s: stopped in %v, longest gap %v going and %v coming", nd.cfg.Name, stopped, away, back)
		if failure != nil {
			t.Fatal("a request failed: ", failure)
		}
		if worst := max(away, back); worst > c.nodes[0].cfg.ElectionTimeout*2/3 {
			t.Errorf("no write for %v", worst)
		}
	}
	p.cancel()
	p.wg.Wait()
	resp, err := p.client.Get(ctx, "leased")
	if err != nil || len(resp.Kvs) != 1 {
		t.Fatal("the lease did not live: ", resp, err)
	}
	wait(t, "the watch to have seen every write", func() bool { return seen.all(p.written) })
}

// seenKeys is what a watch delivered.
type seenKeys struct {
	mu   sync.Mutex
	revs map[int64]bool
	bad  error
}

func (s *seenKeys) follow(watch clientv3.WatchChan) {
	for resp := range watch {
		s.mu.Lock()
		if s.bad == nil {
			s.bad = resp.Err()
		}
		if s.revs == nil {
			s.revs = map[int64]bool{}
		}
		for _, e := range resp.Events {
			s.revs[e.Kv.ModRevision] = true
		}
		s.mu.Unlock()
	}
}

// all reports whether these revisions were seen, and the watch went on.
func (s *seenKeys) all(revs []int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rev := range revs {
		if !s.revs[rev] {
			return false
		}
	}
	return s.bad == nil
}
