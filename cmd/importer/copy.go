package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	pageBytes = 1 << 20 // what a page aims at
	firstPage = 20      // keys
	maxPage   = 5000    // keys
)

// copyAll makes the target what the source was at one revision, in key order.
func (im *importer) copyAll(ctx context.Context, l *leases) error {
	limit := int64(firstPage)
	for {
		page, err := im.page(ctx, limit)
		if errors.Is(err, rpctypes.ErrCompacted) {
			if err := im.anew(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("source: %w", err)
		}
		from := im.state.Next
		var end []byte // of the interval the page tells all about; nil: to the end
		if page.More {
			end = append(bytes.Clone(page.Kvs[len(page.Kvs)-1].Key), 0)
		}
		if err := im.same(ctx, l, from, end, page.Kvs); err != nil {
			return fmt.Errorf("target: %w", err)
		}
		im.state.Next, im.state.Copied = end, !page.More
		if err := im.state.save(im.StateFile); err != nil {
			return err
		}
		im.news.Step, im.news.Revision = "copying", im.state.Revision
		im.news.Keys += int64(len(page.Kvs))
		im.Tell(im.news)
		if im.state.Copied {
			return nil
		}
		limit = nextLimit(limit, page.Kvs)
	}
}

func (im *importer) page(ctx context.Context, limit int64) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := im.state.Next
	if start == nil {
		start = []byte{0}
	}
	return im.From.Get(ctx, string(start), clientv3.WithFromKey(), clientv3.WithRev(im.state.Revision), clientv3.WithLimit(limit))
}

// nextLimit brings pages near their size.
func nextLimit(limit int64, kvs []*mvccpb.KeyValue) int64 {
	size := 0
	for _, kv := range kvs {
		size += len(kv.Key) + len(kv.Value)
	}
	return min(max(limit*pageBytes/int64(max(size, 1)), limit/4, 1), 2*limit, maxPage)
}

// same makes the keys of [from, end) those of want, which are in key order
// (M1).
func (im *importer) same(ctx context.Context, l *leases, from, end []byte, want []*mvccpb.KeyValue) error {
	w := newWriter(im.To, l)
	put := func(kv *mvccpb.KeyValue) error {
		return w.add(ctx, change{key: kv.Key, value: kv.Value, lease: kv.Lease})
	}
	err := im.targetKeys(ctx, from, end, func(have *mvccpb.KeyValue) error {
		for len(want) > 0 && bytes.Compare(want[0].Key, have.Key) < 0 {
			if err := put(want[0]); err != nil {
				return err
			}
			want = want[1:]
		}
		switch {
		case len(want) == 0 || !bytes.Equal(want[0].Key, have.Key):
			return w.add(ctx, change{key: have.Key, deleted: true})
		case !bytes.Equal(want[0].Value, have.Value) || want[0].Lease != have.Lease:
			if err := put(want[0]); err != nil {
				return err
			}
		}
		want = want[1:]
		return nil
	})
	if err != nil {
		return err
	}
	for _, kv := range want {
		if err := put(kv); err != nil {
			return err
		}
	}
	return w.flush(ctx)
}

// targetKeys calls fn for the target's keys in [from, end), page by page. They
// are read at one revision: fn may write.
func (im *importer) targetKeys(ctx context.Context, from, end []byte, fn func(*mvccpb.KeyValue) error) error {
	if from == nil {
		from = []byte{0}
	}
	limit, rev := int64(firstPage), int64(0)
	for {
		opts := []clientv3.OpOption{clientv3.WithLimit(limit), clientv3.WithRev(rev), clientv3.WithFromKey()}
		if end != nil {
			opts[2] = clientv3.WithRange(string(end))
		}
		resp, err := im.To.Get(ctx, string(from), opts...)
		if err != nil {
			return err
		}
		if rev == 0 {
			rev = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			if err := fn(kv); err != nil {
				return err
			}
		}
		if !resp.More {
			return nil
		}
		from = append(bytes.Clone(resp.Kvs[len(resp.Kvs)-1].Key), 0)
		limit = nextLimit(limit, resp.Kvs)
	}
}
