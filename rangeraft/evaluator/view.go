package evaluator

import (
	"bytes"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// view is the etcdop.View of one request: the overlay before what is applied
// (P16), and that from memory where it was written lately.
type view struct {
	e *Evaluator
	b *batch
	r *request
}

func (v *view) Get(key []byte) (*mvccpb.KeyValue, error) {
	internal := keys.User(key)
	if kv, ok := v.e.overlay.get(internal); ok {
		return kv, nil
	}
	if kv, ok := v.e.recent.get(internal); ok {
		return kv, nil
	}
	return v.e.opts.State.Get(internal)
}

func (v *view) Scan(key, end []byte, rev int64, fn func(*mvccpb.KeyValue) bool) error {
	span := keys.UserRangeSpan(key, end)
	if span.Empty() {
		return nil
	}
	if rev > 0 {
		if err := v.e.appliedAt(v.b, proto.Revision(rev)); err != nil {
			return err
		}
		return v.e.opts.State.Scan(span, proto.Revision(rev), fn)
	}
	if len(end) == 0 {
		kv, err := v.Get(key)
		if kv != nil {
			fn(kv)
		}
		return err
	}
	return v.e.scan(span, fn)
}

// scan merges the overlay into the latest applied state.
func (e *Evaluator) scan(span proto.Span, fn func(*mvccpb.KeyValue) bool) error {
	own, stopped := e.overlay.within(span), false
	emit := func(below []byte) { // in flight before the key; nil: all
		for len(own) > 0 && !stopped && (below == nil || bytes.Compare(own[0].key[1:], below) < 0) {
			if kv := own[0].newest().kv; kv != nil {
				stopped = !fn(kv)
			}
			own = own[1:]
		}
	}
	err := e.opts.State.Scan(span, 0, func(kv *mvccpb.KeyValue) bool {
		if emit(kv.Key); stopped {
			return false
		}
		if len(own) > 0 && bytes.Equal(own[0].key[1:], kv.Key) {
			return true // the newer version comes with the next emit
		}
		stopped = !fn(kv)
		return !stopped
	})
	if err == nil && !stopped {
		emit(nil)
	}
	return err
}

func (v *view) Count(key, end []byte, rev int64) (int64, error) {
	span := keys.UserRangeSpan(key, end)
	if span.Empty() {
		return 0, nil
	}
	if rev > 0 {
		if err := v.e.appliedAt(v.b, proto.Revision(rev)); err != nil {
			return 0, err
		}
		return v.e.opts.State.Count(span, proto.Revision(rev))
	}
	n, err := v.e.opts.State.Count(span, 0)
	for _, d := range v.e.overlay.within(span) {
		if was, is := d.stages[0].wasLive, d.newest().kv != nil; was && !is {
			n--
		} else if is && !was {
			n++
		}
	}
	return n, err
}

// appliedAt refuses history at rev while something at or below it is not
// applied.
func (e *Evaluator) appliedAt(b *batch, rev proto.Revision) error {
	below := func(b *batch) bool { return b.lowest > 0 && b.lowest <= rev }
	if below(b) || slices.ContainsFunc(e.inflight, below) {
		return errInFlight
	}
	return nil
}

func (v *view) LeaseUsable(lease proto.LeaseID, key []byte) etcdop.LeaseState {
	return v.e.leaseUsable(v.r, lease, keys.User(key))
}

func (v *view) Floor() int64 { return int64(v.e.floor()) }

func (v *view) Seen() int64 { return int64(v.e.seenNow()) }

func (e *Evaluator) floor() proto.Revision {
	return max(e.opts.State.Floor(), e.opts.Numbers.Floor())
}

// record reads an unversioned record, the overlay first; nil: absent.
func (e *Evaluator) record(space pontoonpb.Space, key, suffix []byte) ([]byte, error) {
	if value, ok := e.overlay.record(space, key, suffix); ok {
		return value, nil
	}
	return e.opts.State.Local(space, key, suffix)
}

// attached reports whether some key of span is attached to the lease.
func (e *Evaluator) attached(span proto.Span, lease proto.LeaseID) (bool, error) {
	for _, d := range e.overlay.within(span) {
		if kv := d.newest().kv; kv != nil && kv.Lease == int64(lease) {
			return true, nil
		}
	}
	found := false
	err := e.opts.State.LeaseKeys(span, lease, func(key []byte) bool {
		_, newer := e.overlay.get(key) // and is not attached, or it was found above
		found = !newer
		return !found
	})
	return found, err
}
