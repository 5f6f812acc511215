package etcdop

import (
	"bytes"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
)

// overlay is a View with the changes of one operation on top of its base.
// History (rev > 0) is the base's: an operation never reads its own revision
// by number.
type overlay struct {
	base    View
	changes map[string]change
	order   []string // keys of changes, sorted when sorted is set
	sorted  bool
}

// change is the state of a key that the operation wrote; kv nil is deleted.
type change struct {
	kv      *mvccpb.KeyValue
	wasLive bool // in base
}

func newOverlay(base View) *overlay { return &overlay{base: base} }

// set records the new state of key. wasLive is its state just before.
func (o *overlay) set(key string, kv *mvccpb.KeyValue, wasLive bool) {
	if o.changes == nil {
		o.changes = make(map[string]change)
	}
	c, again := o.changes[key]
	if !again {
		c.wasLive = wasLive
		o.order = append(o.order, key)
		o.sorted = false
	}
	c.kv = kv
	o.changes[key] = c
}

// within returns the changed keys of [key, end) in key order.
func (o *overlay) within(key, end []byte) []string {
	if !o.sorted {
		slices.Sort(o.order)
		o.sorted = true
	}
	from, _ := slices.BinarySearch(o.order, string(key))
	rest := o.order[from:]
	switch {
	case len(end) == 0:
		if len(rest) == 0 || rest[0] != string(key) {
			return nil
		}
		return rest[:1]
	case len(end) == 1 && end[0] == 0:
		return rest
	}
	to, _ := slices.BinarySearch(rest, string(end))
	return rest[:to]
}

func (o *overlay) Get(key []byte) (*mvccpb.KeyValue, error) {
	if c, ok := o.changes[string(key)]; ok {
		return c.kv, nil
	}
	return o.base.Get(key)
}

func (o *overlay) Scan(key, end []byte, rev int64, fn func(*mvccpb.KeyValue) bool) error {
	if rev > 0 || len(o.changes) == 0 {
		return o.base.Scan(key, end, rev, fn)
	}
	own, stopped := o.within(key, end), false
	// emit calls fn for own changes below the limit, which is nil for all.
	emit := func(below []byte) {
		for len(own) > 0 && !stopped && (below == nil || own[0] < string(below)) {
			if kv := o.changes[own[0]].kv; kv != nil {
				stopped = !fn(kv)
			}
			own = own[1:]
		}
	}
	err := o.base.Scan(key, end, 0, func(kv *mvccpb.KeyValue) bool {
		if emit(kv.Key); stopped {
			return false
		}
		if len(own) > 0 && bytes.Equal([]byte(own[0]), kv.Key) {
			return true // the changed state comes with the next emit
		}
		stopped = !fn(kv)
		return !stopped
	})
	if err != nil || stopped {
		return err
	}
	emit(nil)
	return nil
}

func (o *overlay) Count(key, end []byte, rev int64) (int64, error) {
	n, err := o.base.Count(key, end, rev)
	if err != nil || rev > 0 || len(o.changes) == 0 {
		return n, err
	}
	for _, k := range o.within(key, end) {
		switch c := o.changes[k]; {
		case c.kv != nil && !c.wasLive:
			n++
		case c.kv == nil && c.wasLive:
			n--
		}
	}
	return n, nil
}

func (o *overlay) LeaseUsable(lease proto.LeaseID, key []byte) LeaseState {
	return o.base.LeaseUsable(lease, key)
}
func (o *overlay) Floor() int64 { return o.base.Floor() }
func (o *overlay) Seen() int64  { return o.base.Seen() }
