package importer

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	txnOps   = 100       // below etcd's and Pontoon's limit of 128
	txnBytes = 512 << 10 // below the limit of 1.5 MiB, where one value does not exceed it
	retryFor = time.Minute
)

// change of one key.
type change struct {
	key, value []byte
	lease      int64
	deleted    bool
}

func (c change) size() int { return len(c.key) + len(c.value) }

// writer collects changes of the target into txns.
type writer struct {
	to     *clientv3.Client
	leases *leases
	wait   []change
	keys   map[string]bool // of wait: a txn changes a key once
	bytes  int
}

func newWriter(to *clientv3.Client, l *leases) *writer {
	return &writer{to: to, leases: l, keys: map[string]bool{}}
}

// add takes changes that belong together. They go in one txn, with others
// before and after them, unless they are more than a txn holds.
func (w *writer) add(ctx context.Context, together ...change) error {
	if !w.fits(together) {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	for _, c := range together {
		if len(w.wait) > 0 && !w.fits([]change{c}) {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
		w.keys[string(c.key)] = true
		w.wait = append(w.wait, c)
		w.bytes += c.size()
	}
	return nil
}

func (w *writer) fits(together []change) bool {
	bytes := w.bytes
	for _, c := range together {
		if bytes += c.size(); w.keys[string(c.key)] {
			return false
		}
	}
	return len(w.wait)+len(together) <= txnOps && bytes <= txnBytes
}

// flush writes what waits, and again while the target cannot be reached: doing
// it twice is the same as once (M2).
func (w *writer) flush(ctx context.Context) error {
	if len(w.wait) == 0 {
		return nil
	}
	deadline := time.Now().Add(retryFor)
	pause := 50 * time.Millisecond
	for {
		err := w.commit(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil || !passing(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, 2*time.Second)
	}
	w.wait, w.bytes = w.wait[:0], 0
	clear(w.keys)
	return nil
}

func (w *writer) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		ops := make([]clientv3.Op, len(w.wait))
		for i, c := range w.wait {
			op, err := w.op(ctx, c)
			if err != nil {
				return err
			}
			ops[i] = op
		}
		_, err := w.to.Txn(ctx).Then(ops...).Commit()
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
		w.leases.forget() // one went while its keys waited; look again
	}
}

// op names the lease if it lives. One that the source revoked takes the key
// along: its deletion is on its way, and the key needs no lease until then.
func (w *writer) op(ctx context.Context, c change) (clientv3.Op, error) {
	if c.deleted {
		return clientv3.OpDelete(string(c.key)), nil
	}
	lives, err := false, error(nil)
	if c.lease != 0 {
		lives, err = w.leases.ensure(ctx, clientv3.LeaseID(c.lease))
	}
	if lives {
		return clientv3.OpPut(string(c.key), string(c.value), clientv3.WithLease(clientv3.LeaseID(c.lease))), err
	}
	return clientv3.OpPut(string(c.key), string(c.value)), err
}

// passing says whether the same request may succeed a little later.
func passing(err error) bool {
	var etcd rpctypes.EtcdError
	code := status.Code(err)
	if errors.As(err, &etcd) {
		code = etcd.Code()
	}
	return code == codes.Unavailable || code == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded)
}
