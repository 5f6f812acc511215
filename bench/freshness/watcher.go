package freshness

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watcher follows a prefix and remembers how far it has come and when each
// revision arrived.
type watcher struct {
	client *clientv3.Client
	prefix string

	mu      sync.Mutex
	reached int64
	arrived map[int64]time.Time
	changed chan struct{} // closed and replaced when something arrives
	err     error
}

// follow opens a watch and waits until the server has it.
func follow(ctx context.Context, c *clientv3.Client, prefix string) (*watcher, error) {
	w := &watcher{client: c, prefix: prefix, arrived: map[int64]time.Time{}, changed: make(chan struct{})}
	ch := c.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	select {
	case resp, ok := <-ch:
		if !ok || !resp.Created {
			return nil, fmt.Errorf("watch %s: not created: %w", prefix, resp.Err())
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	go func() {
		for resp := range ch {
			w.take(resp)
		}
	}()
	return w, nil
}

func (w *watcher) take(resp clientv3.WatchResponse) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := resp.Err(); err != nil {
		w.err = fmt.Errorf("watch %s: %w", w.prefix, err)
	}
	for _, ev := range resp.Events {
		w.arrived[ev.Kv.ModRevision] = now
		w.reached = max(w.reached, ev.Kv.ModRevision)
	}
	if len(resp.Events) == 0 {
		w.reached = max(w.reached, resp.Header.Revision)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// progressTo asks for progress until the watch has come to a revision: at once,
// then every 100 ms, as Kubernetes does.
func (w *watcher) progressTo(ctx context.Context, revision int64) error {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	if err := w.client.RequestProgress(ctx); err != nil {
		return err
	}
	return w.until(ctx, again.C, func() bool { return w.reached >= revision })
}

// arrival waits for the event of a revision.
func (w *watcher) arrival(ctx context.Context, revision int64) (time.Time, error) {
	err := w.until(ctx, nil, func() bool { return !w.arrived[revision].IsZero() })
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.arrived[revision]
	delete(w.arrived, revision)
	return at, err
}

// until waits for a condition, which it evaluates under the lock, and asks for
// progress at every tick of again.
func (w *watcher) until(ctx context.Context, again <-chan time.Time, condition func() bool) error {
	for {
		w.mu.Lock()
		ok, err, changed := condition(), w.err, w.changed
		w.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("watch %s waits in vain: %w", w.prefix, ctx.Err())
		case <-changed:
		case <-again:
			if err := w.client.RequestProgress(ctx); err != nil {
				return err
			}
		}
	}
}
