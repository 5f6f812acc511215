package robust

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/verify"
)

// compact drops the history before the base: what is dropped in the background
// during the round must not be missed by its reads and watches (P25, P41). Once
// answered, the new floor holds at every gateway (P9).
func (r *round) compact(ctx context.Context) error {
	at := r.base.Rev
	if r.opts.Mode.moves() {
		at = r.compactAt // the other load goes on, and its watches must not be overtaken
	}
	if at <= 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.SettleLimit)
	defer cancel()
	if _, err := r.admin.Compact(ctx, int64(at)); err != nil {
		return fmt.Errorf("compact at %d: %w", at, err)
	}
	for _, endpoint := range r.c.Endpoints() {
		c, err := dial.Open(dial.Options{Endpoints: []string{endpoint}})
		if err != nil {
			return err
		}
		_, err = c.Get(ctx, spanKey, clientv3.WithRange(spanEnd), clientv3.WithRev(int64(at)-1))
		_ = c.Close()
		if !errors.Is(err, rpctypes.ErrCompacted) {
			return fmt.Errorf("read at %d through %s after compaction at %d: %v", at-1, endpoint, at, err)
		}
	}
	return nil
}

// settle waits until every lease is gone and every watch has seen a last write.
// What does not come to rest in time is returned as violations.
func (r *round) settle(ctx context.Context) (verify.Revision, []verify.Violation) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.SettleLimit)
	defer cancel()
	var stuck []verify.Violation
	if err := poll(ctx, func() error { return r.noLeases(ctx) }); err != nil {
		stuck = append(stuck, verify.Violation{Check: "settle", Detail: err.Error()})
	}
	var through verify.Revision
	values := &serial{round: r.n, client: r.opts.Clients}
	err := poll(ctx, func() error {
		put := one(verify.Op{Kind: verify.OpPut, Key: spanKey + "~", Value: values.next()})
		resp, err := r.rec.do(ctx, r.admin, r.opts.Clients, put)
		through = resp.Rev
		return err
	})
	if err != nil {
		stuck = append(stuck, verify.Violation{Check: "settle", Detail: "last write: " + err.Error()})
	}
	for _, w := range r.watchers {
		if err := poll(ctx, func() error { return reached(w, through) }); err != nil {
			stuck = append(stuck, verify.Violation{Check: "settle", Detail: err.Error()})
		}
	}
	return through, stuck
}

func reached(w *watcher, through verify.Revision) error {
	covered, err := w.state()
	if err != nil || covered >= through {
		return err
	}
	return fmt.Errorf("watch %s is at %d of %d", w.stream.Name, covered, through)
}

func (r *round) noLeases(ctx context.Context) error {
	one, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := r.admin.Get(one, spanKey, clientv3.WithRange(spanEnd))
	if err != nil {
		return err
	}
	for _, kv := range resp.Kvs {
		if kv.Lease != 0 {
			return fmt.Errorf("%q still has lease %x, which nobody renews", kv.Key, kv.Lease)
		}
	}
	return nil
}

// poll tries until it succeeds or ctx ends and returns the last error.
func poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
