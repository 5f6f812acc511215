package storage

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// ScanOptions of View.Scan.
type ScanOptions struct {
	KeysOnly bool // leave values out
}

// Scan calls fn for every key of the span that is live at rev, in key order,
// until fn returns false or an error. The version and its bytes are valid
// until fn returns.
func (v *View) Scan(span proto.Span, rev proto.Revision, o ScanOptions, fn func(*Version) (bool, error)) error {
	return v.newest(span, endOf(rev), func(ver *Version) (bool, error) {
		if ver.Tombstone {
			return true, nil
		}
		if o.KeysOnly {
			ver.Value = nil
		}
		return fn(ver)
	})
}

// Count returns the number of keys of the span that are live at rev.
func (v *View) Count(span proto.Span, rev proto.Revision) (int64, error) {
	var n int64
	err := v.newest(span, endOf(rev), func(ver *Version) (bool, error) {
		if !ver.Tombstone {
			n++
		}
		return true, nil
	})
	return n, err
}

// nextsBeforeSeek is how many newer versions of a key are stepped over before
// it is cheaper to seek.
const nextsBeforeSeek = 4

// position is a point in the order of all changes: behind the change sub of rev.
type position struct {
	rev proto.Revision
	sub int64
}

// endOf is the position behind every change of rev.
func endOf(rev proto.Revision) position { return position{rev, enginekey.MaxSub} }

// before is the position ahead of the change sub of rev.
func before(rev proto.Revision, sub int64) position {
	if sub == 0 {
		return endOf(rev - 1)
	}
	return position{rev, sub - 1}
}

// holds reports whether the change sub of rev has happened at the position.
func (p position) holds(rev proto.Revision, sub int64) bool {
	return rev < p.rev || rev == p.rev && sub <= p.sub
}

// newest calls fn for the newest version at the position of every key of the
// span that has one, tombstones included.
func (v *View) newest(span proto.Span, at position, fn func(*Version) (bool, error)) error {
	if span.Empty() {
		return nil
	}
	it, err := v.spanIter(enginekey.Versions, span)
	if err != nil {
		return err
	}
	defer it.Close()
	var ver Version
	for ok := it.First(); ok; {
		if at.rev != Latest && !v.settle(it, at) {
			ok = it.Valid()
			continue
		}
		if err := v.versionAt(it, &ver); err != nil {
			return err
		}
		k := it.Key()
		ver.Key = k[1 : enginekey.Split(k)-1]
		more, err := fn(&ver)
		if err != nil || !more {
			return err
		}
		ok = it.NextPrefix()
	}
	return wrap("scan", it.Error())
}

// settle moves from the first version of a key to its newest at the position.
// Without one it returns false and leaves the iterator at the next key.
func (v *View) settle(it *pebble.Iterator, at position) bool {
	k := it.Key()
	n := enginekey.Split(k)
	v.buf = append(v.buf[:0], k[:n]...)
	same := func() bool {
		k := it.Key()
		return enginekey.Split(k) == n && bytes.Equal(k[:n], v.buf[:n])
	}
	for range nextsBeforeSeek {
		k := it.Key()
		if rev, sub, _ := enginekey.Position(k[n : len(k)-1]); at.holds(rev, sub) {
			return true
		}
		if !it.Next() || !same() {
			return false
		}
	}
	v.buf = enginekey.AppendPosition(v.buf, at.rev, at.sub)
	return it.SeekGE(v.buf) && same()
}

// Changes calls fn for every version of the span, tombstones included, with
// from <= revision <= to, until fn returns false or an error: by key, newest
// first, each change of a key that one revision changed several times. The
// version and its bytes are valid until fn returns. Blocks without
// such a version are skipped where the engine knows it; what remains is
// filtered exactly (P24).
func (v *View) Changes(span proto.Span, from, to proto.Revision, fn func(*Version) (bool, error)) error {
	if span.Empty() || from > to {
		return nil
	}
	lower, upper := enginekey.Bounds(enginekey.Versions, span)
	it, err := v.iter(&pebble.IterOptions{
		LowerBound: lower, UpperBound: upper, PointKeyFilters: revisionFilter(from, to),
	})
	if err != nil {
		return err
	}
	defer it.Close()
	var ver Version
	for ok := it.First(); ok; {
		if err := v.versionAt(it, &ver); err != nil {
			return err
		}
		switch {
		case ver.ModRevision < from:
			ok = it.NextPrefix()
			continue
		case ver.ModRevision <= to:
			k := it.Key()
			ver.Key = k[1 : enginekey.Split(k)-1]
			more, err := fn(&ver)
			if err != nil || !more {
				return err
			}
		}
		ok = it.Next()
	}
	return wrap("scan changes", it.Error())
}
