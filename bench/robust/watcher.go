package robust

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/verify"
)

// watcher records one watch.
type watcher struct {
	client *clientv3.Client
	rec    *recorder

	mu      sync.Mutex
	stream  verify.Stream
	covered verify.Revision // by an event or a progress notification
	err     error
}

// watchSpec says what a watcher looks at and when it begins. Watches of one
// client share one gRPC stream, so that a progress notification of the stream
// speaks for all of them (P26).
type watchSpec struct {
	name     string
	client   *clientv3.Client
	key, end string
	delay    time.Duration // from the start of the round: the later, the more catch-up
	prevKV   bool
}

func newWatcher(spec watchSpec, rec *recorder, start verify.Revision) *watcher {
	return &watcher{
		client: spec.client, rec: rec, covered: start - 1,
		stream: verify.Stream{Name: spec.name, Key: spec.key, End: spec.end, Start: start, PrevKV: spec.prevKV},
	}
}

// loop watches until ctx ends.
func (w *watcher) loop(ctx context.Context, delay time.Duration) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(delay):
	}
	opts := []clientv3.OpOption{
		clientv3.WithRange(w.stream.End), clientv3.WithRev(int64(w.stream.Start)), clientv3.WithProgressNotify(),
	}
	if w.stream.PrevKV {
		opts = append(opts, clientv3.WithPrevKV())
	}
	ch := w.client.Watch(ctx, w.stream.Key, opts...)
	go w.requestProgress(ctx)
	for resp := range ch {
		w.record(resp)
	}
	if ctx.Err() == nil {
		w.fail(fmt.Errorf("%s: watch ended by itself", w.stream.Name))
	}
}

func (w *watcher) record(resp clientv3.WatchResponse) {
	if err := resp.Err(); err != nil {
		w.fail(fmt.Errorf("%s: %w (compact revision %d)", w.stream.Name, err, resp.CompactRevision))
		return
	}
	if resp.Created {
		return
	}
	r := verify.WatchResponse{At: w.rec.now(), Header: verify.Revision(resp.Header.Revision)}
	last := r.Header
	for _, ev := range resp.Events {
		e := verify.Event{Delete: ev.Type == clientv3.EventTypeDelete, KV: toKV(ev.Kv)}
		if ev.PrevKv != nil {
			prev := toKV(ev.PrevKv)
			e.Prev = &prev
		}
		r.Events = append(r.Events, e)
		last = e.KV.Mod
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stream.Responses = append(w.stream.Responses, r)
	w.covered = max(w.covered, last)
}

// requestProgress asks for progress regularly: the notifications test that none
// overtakes an event, and show at the end that a quiet watch is complete.
func (w *watcher) requestProgress(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ask, cancel := context.WithTimeout(ctx, requestTimeout)
			_ = w.client.RequestProgress(ask) // a gateway that is down answers nothing
			cancel()
		}
	}
}

func (w *watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// state returns how far the watch has come.
func (w *watcher) state() (verify.Revision, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.covered, w.err
}

// result returns what was recorded; call it after loop ended.
func (w *watcher) result() (verify.Stream, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stream, w.err
}
