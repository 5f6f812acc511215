package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// askEvery is how often the source is asked where it is: nothing comes by
// itself while nobody writes.
const askEvery = 200 * time.Millisecond

// follow applies the source's changes until the import shall end and has all.
// ErrCompacted: the source no longer has what comes next.
func (im *importer) follow(ctx context.Context, l *leases) error {
	var end int64 // the revision that is enough; 0: not known yet
	cutOver := im.CutOver
	if im.UntilCaughtUp {
		now, err := probe(ctx, im.From)
		if err != nil {
			return fmt.Errorf("source: %w", err)
		}
		end = now.Header.Revision
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	events := im.From.Watch(watching, "\x00", clientv3.WithFromKey(), clientv3.WithRev(im.state.Revision+1), clientv3.WithProgressNotify())
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for end == 0 || im.state.Revision < end {
		select {
		case resp, ok := <-events:
			if !ok {
				return errors.Join(errors.New("source: the watch ended"), ctx.Err())
			}
			if err := im.apply(ctx, l, resp); err != nil {
				return err
			}
		case <-tick.C:
			if err := im.From.RequestProgress(watching); err != nil && ctx.Err() == nil {
				return fmt.Errorf("source: %w", err)
			}
		case <-cutOver:
			cutOver = nil
			now, err := probe(ctx, im.From)
			if err != nil {
				return fmt.Errorf("source: %w", err)
			}
			end = now.Header.Revision
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// What was revoked last goes now, not with the next turn that never comes.
	return l.sync(ctx)
}

// apply brings one response to the target. The state moves on once all of it is
// there (M2).
func (im *importer) apply(ctx context.Context, l *leases, resp clientv3.WatchResponse) error {
	if err := resp.Err(); err != nil {
		if errors.Is(err, rpctypes.ErrCompacted) {
			return rpctypes.ErrCompacted
		}
		return fmt.Errorf("source: %w", err)
	}
	w := newWriter(im.To, l)
	var together []change // of one revision
	var at int64
	for i, ev := range resp.Events {
		together = append(together, change{
			key: ev.Kv.Key, value: ev.Kv.Value, lease: ev.Kv.Lease, deleted: ev.Type == clientv3.EventTypeDelete,
		})
		at = ev.Kv.ModRevision
		if i+1 < len(resp.Events) && resp.Events[i+1].Kv.ModRevision == at {
			continue
		}
		if err := w.add(ctx, together...); err != nil {
			return fmt.Errorf("target: %w", err)
		}
		together = together[:0]
	}
	if err := w.flush(ctx); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if resp.IsProgressNotify() {
		at = resp.Header.Revision
	}
	im.news.Step, im.news.Newest = "following", max(im.news.Newest, resp.Header.Revision)
	if at > im.state.Revision {
		im.state.Revision = at
		if err := im.state.save(im.StateFile); err != nil {
			return err
		}
	}
	im.news.Revision = im.state.Revision
	im.Tell(im.news)
	return nil
}
