package gaps

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// putTimeout bounds one put. A put that is given up failed.
const putTimeout = 5 * time.Second

// prober writes to one key of each probed range at fixed times.
type prober struct {
	client *clientv3.Client
	every  time.Duration
	stop   context.CancelFunc
	wg     sync.WaitGroup
	lines  []*line
}

// line is what happens to the puts of one key.
type line struct {
	key string

	mu     sync.Mutex
	last   time.Time // last acknowledgement
	gap    time.Duration
	acked  int
	failed int
	err    error // of the last failed one
}

func startProber(ctx context.Context, endpoints []string, every time.Duration, keys ...string) (*prober, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	p := &prober{client: client, every: every, stop: stop}
	for _, key := range keys {
		l := &line{key: key, last: time.Now()}
		p.lines = append(p.lines, l)
		p.wg.Go(func() { p.run(ctx, l) })
	}
	return p, nil
}

func (p *prober) run(ctx context.Context, l *line) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putTimeout)
				defer cancel()
				_, err := p.client.Put(ctx, l.key, "value")
				l.note(err)
			})
		}
	}
}

func (l *line) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed, l.err = l.failed+1, err
		return
	}
	now := time.Now()
	l.gap, l.last = max(l.gap, now.Sub(l.last)), now
	l.acked++
}

// reset begins a new measurement.
func (p *prober) reset() {
	for _, l := range p.lines {
		l.mu.Lock()
		l.gap, l.acked, l.failed, l.err = 0, 0, 0, nil
		l.mu.Unlock()
	}
}

// result returns the longest gap of any range since reset, one that lasts still
// included, and how many puts failed.
func (p *prober) result() (gap time.Duration, failed int, err error) {
	for _, l := range p.lines {
		l.mu.Lock()
		gap = max(gap, l.gap, time.Since(l.last))
		failed += l.failed
		if l.err != nil {
			err = l.err
		}
		l.mu.Unlock()
	}
	return gap, failed, err
}

// flowing says whether every range acknowledged n puts since reset, the last
// one just now.
func (p *prober) flowing(n int) bool {
	for _, l := range p.lines {
		l.mu.Lock()
		ok := l.acked >= n && time.Since(l.last) < 10*p.every
		l.mu.Unlock()
		if !ok {
			return false
		}
	}
	return true
}

func (p *prober) close() {
	p.stop()
	p.wg.Wait()
	_ = p.client.Close()
}
