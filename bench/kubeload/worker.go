package kubeload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// worker is one sequential client.
type worker struct {
	l   *Loader
	kv  *clientv3.Client
	rng *rand.Rand
}

func (l *Loader) worker(phase, i int) *worker {
	return &worker{l: l, kv: l.client(i), rng: l.rng(phase, i+1)}
}

// step does one thing of the churn mix.
func (w *worker) step(ctx context.Context) {
	switch n := w.rng.IntN(1000); {
	case n < 760:
		if o := w.pick(func(r *resource) int { return r.updates }); o != nil {
			w.update(ctx, o)
		}
	case n < 830: // a new event
		w.create(ctx, w.l.book.add(w.l.opts.Prefix, resourceIndex("events")))
	case n < 855:
		w.create(ctx, w.l.book.add(w.l.opts.Prefix, resourceIndex("pods")))
	case n < 880:
		if o := w.l.book.pick(resourceIndex("pods"), w.rng.IntN); o != nil {
			w.remove(ctx, o)
		}
	case n < 950:
		if o := w.pick(func(r *resource) int { return r.share }); o != nil {
			w.get(ctx, o)
		}
	case n < 995:
		w.currentRevision(ctx)
	default:
		r := &resources[pickResource(w.rng, func(r *resource) int { return 1 })]
		if _, err := w.list(ctx, r.span(w.l.opts.Prefix), nil); err != nil {
			w.l.tally.count(func(r *Report) { r.FailedReads++ })
		}
	}
}

func resourceIndex(name string) int {
	for i := range resources {
		if resources[i].name == name {
			return i
		}
	}
	panic("no resource " + name)
}

func (w *worker) pick(weight func(*resource) int) *object {
	return w.l.book.pick(pickResource(w.rng, weight), w.rng.IntN)
}

// timed runs one request under the request timeout and records its latency.
func (w *worker) timed(ctx context.Context, op string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, w.l.opts.RequestTimeout)
	defer cancel()
	began := time.Now()
	err := f(ctx)
	if err == nil {
		w.l.tally.record(op, time.Since(began))
	}
	return err
}

// write builds the next version of an object.
func (w *worker) write(o *object, counter uint64) (value, clientv3.Op, int) {
	v := value{attempt: w.l.serial.Add(1), counter: counter, sent: time.Now().UnixNano(), key: o.key}
	text := v.encode(o.res.size(w.rng), w.l.text, w.rng)
	var opts []clientv3.OpOption
	if o.res.expires {
		opts = append(opts, clientv3.WithLease(w.l.lease))
	}
	return v, clientv3.OpPut(o.key, text, opts...), len(text)
}

// create is Kubernetes' create: Txn(mod = 0). An unanswered try is repeated; if
// the object exists then, the unanswered try was it.
func (w *worker) create(ctx context.Context, o *object) {
	for try := 0; ctx.Err() == nil; try++ {
		v, put, size := w.write(o, 1)
		var resp *clientv3.TxnResponse
		err := w.timed(ctx, "create", func(ctx context.Context) (err error) {
			resp, err = w.kv.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(o.key), "=", 0)).Then(put).Commit()
			return err
		})
		if err != nil {
			w.unanswered(ctx, o, v.attempt, try)
			continue
		}
		if !resp.Succeeded {
			if try == 0 {
				w.l.tally.violation(fmt.Errorf("%q exists before its first create (is the keyspace empty?)", o.key))
			}
			return
		}
		w.acknowledged(o, 0, resp.Header.Revision, v, size)
		return
	}
}

func (w *worker) acknowledged(o *object, base, mod int64, v value, size int) {
	w.l.tally.violation(o.acknowledged(base, mod, v))
	w.l.tally.count(func(r *Report) { r.BytesWritten += int64(size) })
}

// unanswered notes a write of unknown fate and waits a little.
func (w *worker) unanswered(ctx context.Context, o *object, attempt uint64, try int) {
	o.unanswered(attempt)
	w.l.tally.count(func(r *Report) { r.Unanswered++ })
	sleep(ctx, time.Duration(min(try+1, 10))*50*time.Millisecond)
}

// update is Kubernetes' update: Txn(mod = n), on failure the get of its else
// branch is the base of the next try.
func (w *worker) update(ctx context.Context, o *object) {
	base := o.view()
	if !base.live {
		return
	}
	if w.rng.IntN(40) == 0 {
		base.mod-- // an out of date cache: the way over else
	}
	for try := 0; try < 20 && ctx.Err() == nil; try++ {
		before := o.view()
		v, put, size := w.write(o, base.counter+1)
		var resp *clientv3.TxnResponse
		err := w.timed(ctx, "update", func(ctx context.Context) (err error) {
			resp, err = w.kv.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(o.key), "=", base.mod)).
				Then(put).Else(clientv3.OpGet(o.key)).Commit()
			return err
		})
		if err != nil {
			w.unanswered(ctx, o, v.attempt, try)
			kv, ok := w.get(ctx, o)
			if !ok || kv == nil {
				return
			}
			base = viewOf(kv)
			continue
		}
		if resp.Succeeded {
			w.acknowledged(o, base.mod, resp.Header.Revision, v, size)
			return
		}
		kv := w.conflict(o, before, resp)
		if kv == nil {
			return // deleted meanwhile
		}
		if kv.ModRevision == base.mod {
			w.l.tally.violation(fmt.Errorf("%q: compare with %d failed, but that is its version", o.key, base.mod))
			return
		}
		base = viewOf(kv)
	}
}

func viewOf(kv *mvccpb.KeyValue) view {
	v, err := decode(kv.Key, kv.Value)
	if err != nil {
		return view{mod: kv.ModRevision}
	}
	return view{mod: kv.ModRevision, counter: v.counter}
}

// conflict reads the else branch of a failed txn.
func (w *worker) conflict(o *object, before view, resp *clientv3.TxnResponse) *mvccpb.KeyValue {
	w.l.tally.count(func(r *Report) { r.Conflicts++ })
	if len(resp.Responses) != 1 || resp.Responses[0].GetResponseRange() == nil {
		w.l.tally.violation(fmt.Errorf("%q: else branch answered %v", o.key, resp.Responses))
		return nil
	}
	return w.found(o, before, resp.Responses[0].GetResponseRange().Kvs)
}

// found verifies what a read of one key returned.
func (w *worker) found(o *object, before view, kvs []*mvccpb.KeyValue) *mvccpb.KeyValue {
	if len(kvs) == 0 {
		w.l.tally.violation(o.judge(before, 0))
		return nil
	}
	_, err := decode([]byte(o.key), kvs[0].Value)
	w.l.tally.violation(err)
	w.l.tally.violation(o.judge(before, kvs[0].ModRevision))
	w.l.tally.count(func(r *Report) { r.ValuesVerified++ })
	return kvs[0]
}

// remove is Kubernetes' delete: Txn(mod = n) delete, else get.
func (w *worker) remove(ctx context.Context, o *object) {
	base := o.view()
	if !base.live {
		return
	}
	o.deleteBegins()
	for try := 0; try < 20 && ctx.Err() == nil; try++ {
		before := o.view()
		var resp *clientv3.TxnResponse
		err := w.timed(ctx, "delete", func(ctx context.Context) (err error) {
			resp, err = w.kv.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(o.key), "=", base.mod)).
				Then(clientv3.OpDelete(o.key)).Else(clientv3.OpGet(o.key)).Commit()
			return err
		})
		if err != nil {
			w.unanswered(ctx, o, 0, try)
			continue
		}
		if resp.Succeeded {
			w.acknowledged(o, base.mod, resp.Header.Revision, value{}, 0)
			return
		}
		kv := w.conflict(o, before, resp)
		if kv == nil {
			return
		}
		base = viewOf(kv)
	}
}

// get reads one object; ok is false if there was no answer.
func (w *worker) get(ctx context.Context, o *object) (kv *mvccpb.KeyValue, ok bool) {
	before := o.view()
	var resp *clientv3.GetResponse
	err := w.timed(ctx, "get", func(ctx context.Context) (err error) {
		resp, err = w.kv.Get(ctx, o.key)
		return err
	})
	if err != nil {
		w.l.tally.count(func(r *Report) { r.FailedReads++ })
		return nil, false
	}
	return w.found(o, before, resp.Kvs), true
}

// currentRevision is how Kubernetes learns the revision for a consistent list:
// a read of a key that does not exist.
func (w *worker) currentRevision(ctx context.Context) {
	r := &resources[pickResource(w.rng, func(r *resource) int { return r.share })]
	var probe *object
	if probe = w.pick(func(*resource) int { return 1 }); probe == nil {
		return
	}
	before := probe.view()
	var resp *clientv3.GetResponse
	err := w.timed(ctx, "get absent", func(ctx context.Context) (err error) {
		resp, err = w.kv.Get(ctx, w.l.opts.Prefix+"/"+r.name, clientv3.WithLimit(1))
		return err
	})
	switch {
	case err != nil:
		w.l.tally.count(func(r *Report) { r.FailedReads++ })
	case len(resp.Kvs) != 0:
		w.l.tally.violation(fmt.Errorf("%q found by a read of %s/%s", resp.Kvs[0].Key, w.l.opts.Prefix, r.name))
	case resp.Header.Revision < before.mod:
		w.l.tally.violation(fmt.Errorf("current revision %d, but %q was written at %d before", resp.Header.Revision, probe.key, before.mod))
	}
}
