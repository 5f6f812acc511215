package rangetest

import (
	"math"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// state is an etcdop.View of the model at a revision; callers hold the mutex.
type state struct {
	c    *Cluster
	rev  int64 // latest
	from proto.Span
}

// At returns a view of the state after revision rev. Use it when nothing else
// runs.
func (c *Cluster) At(rev int64) etcdop.View { return state{c: c, rev: rev} }

func (s state) at(key string, rev int64) *mvccpb.KeyValue {
	for _, v := range slices.Backward(s.c.versions[key]) {
		if v.Rev <= rev {
			return v.KV
		}
	}
	return nil
}

func (s state) Get(key []byte) (*mvccpb.KeyValue, error) { return s.at(string(key), s.rev), nil }

func (s state) Scan(key, end []byte, rev int64, fn func(*mvccpb.KeyValue) bool) error {
	if rev == 0 {
		rev = s.rev
	}
	span := keys.UserRangeSpan(key, end)
	var in []string
	for k := range s.c.versions {
		if span.Contains(keys.User([]byte(k))) {
			in = append(in, k)
		}
	}
	slices.Sort(in)
	for _, k := range in {
		if kv := s.at(k, rev); kv != nil && !fn(kv) {
			return nil
		}
	}
	return nil
}

func (s state) Count(key, end []byte, rev int64) (n int64, err error) {
	err = s.Scan(key, end, rev, func(*mvccpb.KeyValue) bool {
		n++
		return true
	})
	return n, err
}

func (s state) LeaseUsable(id proto.LeaseID, _ []byte) etcdop.LeaseState {
	l := s.c.leases[int64(id)]
	if l == nil {
		return etcdop.LeaseNo
	}
	if !s.from.Empty() { // a range registers itself before its first put
		l.Registered = append(l.Registered, s.from.Wire())
	}
	return etcdop.LeaseYes
}

func (s state) Floor() int64 { return s.c.floor }
func (s state) Seen() int64  { return math.MaxInt64 }

// applyLocked writes the effects whose keys lie in span.
func (c *Cluster) applyLocked(effects []*pontoonpb.Effect, span proto.Span) {
	for _, e := range effects {
		if e.Kind == pontoonpb.EffectKind_EFFECT_DELETE_SPAN {
			c.deleteSpanLocked(e, span)
			continue
		}
		if !span.Contains(e.Key) {
			continue
		}
		user, _ := keys.UserKey(e.Key)
		v := Version{Rev: e.Rev, Sub: e.Sub}
		switch e.Kind {
		case pontoonpb.EffectKind_EFFECT_PUT:
			v.KV = &mvccpb.KeyValue{
				Key: user, Value: e.Value, Lease: e.Lease, Version: e.Version,
				CreateRevision: e.CreateRevision, ModRevision: e.Rev,
			}
		case pontoonpb.EffectKind_EFFECT_LOCAL_DELETE:
			if id, ok := keys.LeaseOf(e.Key); ok {
				delete(c.leases, int64(id))
			}
			continue
		}
		vs := c.versions[string(user)]
		if n := len(vs); n > 0 && (vs[n-1].Rev > v.Rev || vs[n-1].Rev == v.Rev && vs[n-1].Sub >= v.Sub) {
			panic("rangetest: a key was written out of order")
		}
		c.versions[string(user)] = append(vs, v)
	}
}

// deleteSpanLocked expands the part of a span deletion that lies in within.
func (c *Cluster) deleteSpanLocked(e *pontoonpb.Effect, within proto.Span) {
	sub := e.Sub
	key, end := keys.UserRange(proto.Span{Start: e.Key, End: e.End}.Intersect(within))
	if proto.SpanOf(&pontoonpb.Span{Start: e.Key, End: e.End}).Intersect(within).Empty() {
		return
	}
	_ = (state{c: c, rev: math.MaxInt64}).Scan(key, end, 0, func(kv *mvccpb.KeyValue) bool {
		c.versions[string(kv.Key)] = append(c.versions[string(kv.Key)], Version{Rev: e.Rev, Sub: sub})
		sub++
		return true
	})
}

// conflictLocked reports whether a lock of another txn is in the way.
func (c *Cluster) conflictLocked(id string, span proto.Span, write bool) bool {
	return slices.ContainsFunc(c.locks, func(l *lock) bool {
		if l.id == id || !l.span.Overlaps(span) {
			return false
		}
		switch l.What.Mode {
		case pontoonpb.LockMode_LOCK_SHARED:
			return write
		case pontoonpb.LockMode_LOCK_LEASE:
			return c.attachedLocked(l.What.Lease, l.span.Intersect(span)) != nil
		}
		return true
	})
}

// leaseConflictLocked: what is attached to a lease cannot be locked while
// somebody holds one of the keys.
func (c *Cluster) leaseConflictLocked(id string, lease int64, span proto.Span) bool {
	return slices.ContainsFunc(c.locks, func(l *lock) bool {
		return l.id != id && l.span.Overlaps(span) &&
			(l.What.Mode == pontoonpb.LockMode_LOCK_LEASE && l.What.Lease == lease ||
				c.attachedLocked(lease, l.span.Intersect(span)) != nil)
	})
}

func (c *Cluster) attachedLocked(lease int64, span proto.Span) (out []*mvccpb.KeyValue) {
	for k := range c.versions {
		if kv := (state{c: c}).at(k, math.MaxInt64); kv != nil && kv.Lease == lease && span.Contains(keys.User([]byte(k))) {
			out = append(out, kv)
		}
	}
	slices.SortFunc(out, func(a, b *mvccpb.KeyValue) int { return slices.Compare(a.Key, b.Key) })
	return out
}

// touchesLeaseLocked: effects that attach to or detach from a locked lease.
func (c *Cluster) touchesLeaseLocked(effects []*pontoonpb.Effect) bool {
	return slices.ContainsFunc(effects, func(e *pontoonpb.Effect) bool {
		return slices.ContainsFunc(c.locks, func(l *lock) bool {
			return l.What.Mode == pontoonpb.LockMode_LOCK_LEASE && l.span.Contains(e.Key) &&
				(l.What.Lease == e.Lease || l.What.Lease == e.PrevLease)
		})
	})
}
