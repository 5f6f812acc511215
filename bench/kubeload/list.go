package kubeload

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// list reads a prefix in pages at one revision, as Kubernetes does, verifies the
// pages (I4) and every value (I1), and hands each object to visit (may be nil).
func (w *worker) list(ctx context.Context, prefix string, visit func(*mvccpb.KeyValue, value)) (revision int64, err error) {
	end := clientv3.GetPrefixRangeEnd(prefix)
	start, last := prefix, ""
	for {
		opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(w.l.opts.PageSize), clientv3.WithRev(revision)}
		var page *clientv3.GetResponse
		err := w.timed(ctx, "list page", func(ctx context.Context) (err error) {
			page, err = w.kv.Get(ctx, start, opts...)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("list %s: %w", prefix, err)
		}
		if revision == 0 {
			revision = page.Header.Revision
		}
		w.checkPage(prefix, page, revision, last)
		for _, kv := range page.Kvs {
			v, err := decode(kv.Key, kv.Value)
			w.l.tally.violation(err)
			if visit != nil && err == nil {
				visit(kv, v)
			}
			last = string(kv.Key)
		}
		w.l.tally.count(func(r *Report) { r.ValuesVerified += int64(len(page.Kvs)) })
		if !page.More {
			return revision, nil
		}
		if len(page.Kvs) == 0 {
			return 0, fmt.Errorf("list %s: an empty page says that more follows", prefix)
		}
		start = last + "\x00"
	}
}

// checkPage verifies one page on its own and against the page before it.
func (w *worker) checkPage(prefix string, page *clientv3.GetResponse, revision int64, last string) {
	fail := func(format string, args ...any) {
		w.l.tally.violation(fmt.Errorf("list "+prefix+": "+format, args...))
	}
	if page.Header.Revision < revision {
		fail("page of revision %d has header %d", revision, page.Header.Revision)
	}
	if more := page.Count > int64(len(page.Kvs)); more != page.More {
		fail("count %d, %d objects, more %v", page.Count, len(page.Kvs), page.More)
	}
	for _, kv := range page.Kvs {
		key := string(kv.Key)
		if key <= last || len(key) < len(prefix) || key[:len(prefix)] != prefix {
			fail("%q after %q", key, last)
		}
		if kv.ModRevision > revision {
			fail("%q of %d in a list at %d", key, kv.ModRevision, revision)
		}
		last = key
	}
}
