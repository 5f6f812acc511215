package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// demoWatch is one watch over all ranges that checks the order of what it is
// given: revisions never fall, and one revision comes in one response.
type demoWatch struct {
	client *clientv3.Client
	cancel context.CancelFunc
	done   chan struct{}
	events atomic.Int64
	last   atomic.Int64 // highest revision delivered

	mu     sync.Mutex
	failed error
}

func openDemoWatch(ctx context.Context, endpoints []string, prefix string) (*demoWatch, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &demoWatch{client: client, cancel: cancel, done: make(chan struct{})}
	ch := client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	select {
	case <-ch:
	case <-time.After(10 * time.Second):
		cancel()
		client.Close()
		return nil, errors.New("no answer to the creation of a watch")
	}
	go w.run(ch)
	return w, nil
}

func (w *demoWatch) run(ch clientv3.WatchChan) {
	defer close(w.done)
	for resp := range ch {
		if err := resp.Err(); err != nil {
			w.fail(err)
			return
		}
		for i, e := range resp.Events {
			if rev := e.Kv.ModRevision; rev < w.last.Load() || i == 0 && rev == w.last.Load() {
				w.fail(fmt.Errorf("watch: revision %d after %d", rev, w.last.Load()))
				return
			}
			w.last.Store(e.Kv.ModRevision)
			w.events.Add(1)
		}
	}
}

func (w *demoWatch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = err
}

func (w *demoWatch) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// waitBeyond returns once a revision above rev was delivered.
func (w *demoWatch) waitBeyond(ctx context.Context, rev int64) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for w.last.Load() <= rev {
		if err := w.err(); err != nil {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("the watch stands still: %w", err)
		}
	}
	return nil
}

func (w *demoWatch) close() {
	w.cancel()
	w.client.Close()
	<-w.done
}
