package kubeload

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// informer is Kubernetes' watch cache of one resource: list, then watch from the
// list's revision on.
type informer struct {
	l      *Loader
	prefix string
	client *clientv3.Client

	mu      sync.Mutex
	cache   map[string]cached
	covered int64 // everything at or below is in the cache
	err     error // the watch ended
}

type cached struct {
	mod     int64
	attempt uint64
}

// Watch starts an informer for each resource. They run until Close.
func (l *Loader) Watch(ctx context.Context) error {
	defer l.tally.enter("2 list and watch")()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	for i := range resources {
		inf := &informer{l: l, prefix: resources[i].span(l.opts.Prefix), client: l.client(i), cache: map[string]cached{}}
		w := l.worker(3, i)
		rev, err := w.list(ctx, inf.prefix, func(kv *mvccpb.KeyValue, v value) {
			inf.cache[string(kv.Key)] = cached{kv.ModRevision, v.attempt}
		})
		if err != nil {
			return err
		}
		inf.covered = rev
		ch := inf.client.Watch(watching, inf.prefix, clientv3.WithPrefix(), clientv3.WithRev(rev+1),
			clientv3.WithPrevKV(), clientv3.WithProgressNotify())
		l.informers = append(l.informers, inf)
		l.running.Go(func() {
			for resp := range ch {
				inf.apply(resp)
			}
			if watching.Err() == nil {
				inf.fail(fmt.Errorf("watch %s ended by itself", inf.prefix))
			}
		})
	}
	return nil
}

func (inf *informer) fail(err error) {
	inf.mu.Lock()
	defer inf.mu.Unlock()
	if inf.err == nil {
		inf.err = err
		inf.l.tally.violation(err)
	}
}

func (inf *informer) apply(resp clientv3.WatchResponse) {
	if err := resp.Err(); err != nil {
		inf.fail(fmt.Errorf("watch %s: %w", inf.prefix, err))
		return
	}
	now := time.Now().UnixNano()
	inf.mu.Lock()
	defer inf.mu.Unlock()
	before := inf.covered
	for _, ev := range resp.Events {
		if ev.Kv.ModRevision <= before {
			inf.l.tally.violation(fmt.Errorf("watch %s: %q at %d after %d was complete", inf.prefix, ev.Kv.Key, ev.Kv.ModRevision, before))
		}
		inf.l.tally.violation(inf.change(ev, now))
		inf.covered = max(inf.covered, ev.Kv.ModRevision)
	}
	if len(resp.Events) == 0 && !resp.Created {
		inf.covered = max(inf.covered, resp.Header.Revision)
	}
	inf.l.tally.count(func(r *Report) {
		r.Events += int64(len(resp.Events))
		r.ValuesVerified += int64(len(resp.Events))
	})
}

// change applies one event to the cache and checks that it follows from it (I5).
func (inf *informer) change(ev *clientv3.Event, now int64) error {
	key := string(ev.Kv.Key)
	old, exists := inf.cache[key]
	switch {
	case exists && ev.PrevKv == nil:
		return fmt.Errorf("watch %s: %q at %d without prev_kv, the cache has %d", inf.prefix, key, ev.Kv.ModRevision, old.mod)
	case !exists && ev.PrevKv != nil:
		return fmt.Errorf("watch %s: %q at %d replaces %d, which never came", inf.prefix, key, ev.Kv.ModRevision, ev.PrevKv.ModRevision)
	case !exists && ev.Type == clientv3.EventTypeDelete:
		return fmt.Errorf("watch %s: delete of unknown %q at %d", inf.prefix, key, ev.Kv.ModRevision)
	case !exists != ev.IsCreate() && ev.Type == clientv3.EventTypePut:
		return fmt.Errorf("watch %s: %q at %d: create is %v, in cache %v", inf.prefix, key, ev.Kv.ModRevision, ev.IsCreate(), exists)
	}
	if exists {
		prev, err := decode(ev.PrevKv.Key, ev.PrevKv.Value)
		if err != nil {
			return err
		}
		if ev.PrevKv.ModRevision != old.mod || prev.attempt != old.attempt {
			return fmt.Errorf("watch %s: %q at %d replaces %d, the cache has %d", inf.prefix, key, ev.Kv.ModRevision, ev.PrevKv.ModRevision, old.mod)
		}
	}
	if ev.Type == clientv3.EventTypeDelete {
		delete(inf.cache, key)
		return nil
	}
	v, err := decode(ev.Kv.Key, ev.Kv.Value)
	if err != nil {
		return err
	}
	inf.l.tally.record(watchEvent, time.Duration(now-v.sent))
	inf.cache[key] = cached{ev.Kv.ModRevision, v.attempt}
	return nil
}

// caughtUp waits until the informer has everything up to a revision, asking for
// progress as Kubernetes does for a consistent list.
func (inf *informer) caughtUp(ctx context.Context, revision int64) error {
	for {
		inf.mu.Lock()
		covered, err := inf.covered, inf.err
		inf.mu.Unlock()
		if err != nil || covered >= revision {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("watch %s is at %d and does not reach %d", inf.prefix, covered, revision)
		}
		_ = inf.client.RequestProgress(ctx) // a broken stream resumes; asked again below
		sleep(ctx, 100*time.Millisecond)
	}
}

// compare checks the cache against what exists.
func (inf *informer) compare(exists map[string]cached) {
	inf.mu.Lock()
	defer inf.mu.Unlock()
	for key, want := range exists {
		if got, ok := inf.cache[key]; !ok || got != want {
			inf.l.tally.violation(fmt.Errorf("watch %s: cache has %q as %+v, the store %+v", inf.prefix, key, got, want))
		}
	}
	for key := range inf.cache {
		if _, ok := exists[key]; !ok {
			inf.l.tally.violation(fmt.Errorf("watch %s: cache has %q, the store does not", inf.prefix, key))
		}
	}
}
