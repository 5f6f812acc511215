package kubeload

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Verify lists everything and compares each object with what was written (I6)
// and each informer's cache with the store (I5). It may be called again, after
// further churn or a restart of nodes; nothing may be writing meanwhile.
func (l *Loader) Verify(ctx context.Context) error {
	defer l.tally.enter("4 verify")()
	w := l.worker(4, 0)
	objects := l.book.all()
	exists := make(map[string]cached, len(objects))
	done := 0
	revision, err := w.list(ctx, l.opts.Prefix+"/", func(kv *mvccpb.KeyValue, v value) {
		key := string(kv.Key)
		exists[key] = cached{kv.ModRevision, v.attempt}
		o := l.book.get(key)
		if o == nil {
			l.tally.violation(fmt.Errorf("%q exists and nobody wrote it", key))
			return
		}
		l.tally.violation(o.final(true, kv.ModRevision, v))
		if done++; done%100 == 0 {
			l.opts.Progress("verify", done, len(objects))
		}
	})
	if err != nil {
		return err
	}
	for _, o := range objects {
		if _, ok := exists[o.key]; !ok {
			l.tally.violation(o.final(false, 0, value{}))
		}
	}
	l.tally.count(func(r *Report) { r.ObjectsVerified = len(objects) })
	settling, cancel := context.WithTimeout(ctx, l.opts.SettleTimeout)
	defer cancel()
	for _, inf := range l.informers {
		if err := inf.caughtUp(settling, revision); err != nil {
			l.tally.violation(err)
			continue
		}
		mine := map[string]cached{}
		for key, c := range exists {
			if strings.HasPrefix(key, inf.prefix) {
				mine[key] = c
			}
		}
		inf.compare(mine)
	}
	l.opts.Progress("verify", len(objects), len(objects))
	return ctx.Err()
}
