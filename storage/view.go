package storage

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// Latest is the revision of reads of the newest versions.
const Latest proto.Revision = 1<<63 - 1

// View is a consistent read view of the engine. It is used by one goroutine
// and must be closed. It pins memory and disk: keep it for longer than a
// request only if it was made with NewLongView.
type View struct {
	e     *Engine
	snap  *pebble.Snapshot // of a long view
	point *pebble.Iterator // for point reads; what a short view clones from
	buf   []byte
}

// NewView returns a view of everything committed so far. It is cheap and
// meant for one request or one evaluated batch.
func (e *Engine) NewView() (*View, error) {
	it, err := e.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return nil, wrap("view", err)
	}
	return &View{e: e, point: it}, nil
}

// NewLongView returns a view that may be kept for minutes.
func (e *Engine) NewLongView() (*View, error) {
	return &View{e: e, snap: e.db.NewSnapshot()}, nil
}

// Close releases the view. It may be called once. Damage that a read came upon
// was that read's error.
func (v *View) Close() error {
	var err error
	if v.point != nil {
		if err = v.point.Close(); pebble.IsCorruptionError(err) {
			err = nil
		}
	}
	if v.snap != nil {
		err = errors.Join(err, v.snap.Close())
	}
	return wrap("close view", err)
}

// iter returns an iterator of the view.
func (v *View) iter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	var it *pebble.Iterator
	var err error
	if v.snap != nil {
		it, err = v.snap.NewIter(o)
	} else {
		it, err = v.point.Clone(pebble.CloneOptions{IterOptions: o})
	}
	return it, wrap("iterate", err)
}

// spanIter returns an iterator over the span's part of one space.
func (v *View) spanIter(t enginekey.Tag, s proto.Span) (*pebble.Iterator, error) {
	lower, upper := enginekey.Bounds(t, s)
	return v.iter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
}

// pointIter returns the iterator of point reads.
func (v *View) pointIter() (*pebble.Iterator, error) {
	if v.point == nil {
		it, err := v.iter(&pebble.IterOptions{UseL6Filters: true})
		if err != nil {
			return nil, err
		}
		v.point = it
	}
	return v.point, nil
}

// Get returns the newest version of an internal user key at or below rev, the
// last one if rev changed the key several times; false if the key is not live there, with the tombstone if there is one. The
// value is the caller's.
func (v *View) Get(key []byte, rev proto.Revision) (Version, bool, error) {
	it, err := v.pointIter()
	if err != nil {
		return Version{}, false, err
	}
	return v.getFrom(it, key, rev)
}

func (v *View) getFrom(it *pebble.Iterator, key []byte, rev proto.Revision) (Version, bool, error) {
	v.buf = enginekey.AppendVersion(v.buf[:0], key, rev, enginekey.MaxSub)
	if !it.SeekPrefixGE(v.buf) {
		return Version{}, false, wrap("get", it.Error())
	}
	res := Version{Key: key}
	if err := v.versionAt(it, &res); err != nil {
		return Version{}, false, err
	}
	res.Value = bytes.Clone(res.Value)
	return res, !res.Tombstone, nil
}

// Get is View.Get at the latest committed state, for one read without a view.
func (e *Engine) Get(key []byte, rev proto.Revision) (Version, bool, error) {
	v, err := e.NewView()
	if err != nil {
		return Version{}, false, err
	}
	res, ok, err := v.Get(key, rev)
	return res, ok, errors.Join(err, v.Close())
}

// versionAt decodes the record under the iterator, sharing its bytes. Key is
// left alone.
func (v *View) versionAt(it *pebble.Iterator, ver *Version) error {
	k := it.Key()
	rev, sub, ok := enginekey.Position(k[enginekey.Split(k) : len(k)-1])
	if !ok {
		return damaged("version", errors.New("key not understood"))
	}
	b, err := v.e.valueOf(it)
	if err != nil {
		return wrap("read version", err)
	}
	ver.ModRevision, ver.Sub = rev, sub
	if err := decodeVersion(ver, b); err != nil {
		return damaged("version", err)
	}
	return nil
}

// getRaw returns a copy of one engine record of the view.
func (v *View) getRaw(key []byte) ([]byte, bool, error) {
	it, err := v.pointIter()
	if err != nil {
		return nil, false, err
	}
	if !it.SeekPrefixGE(key) || !bytes.Equal(it.Key(), key) {
		return nil, false, wrap("get", it.Error())
	}
	b, err := v.e.valueOf(it)
	if err != nil {
		return nil, false, wrap("get", err)
	}
	return append([]byte{}, b...), true, nil
}

// Applied returns the applied state of a range in the view, so that floor and
// applied index go with the data (P41). ErrRangeNotFound if there is none.
func (v *View) Applied(id proto.RangeID) (AppliedState, error) {
	b, ok, err := v.getRaw(enginekey.AppendRange(nil, id, enginekey.Applied))
	if err != nil {
		return AppliedState{}, err
	}
	if !ok {
		return AppliedState{}, rangeError(id, ErrRangeNotFound)
	}
	s, err := decodeApplied(b)
	if err != nil {
		return s, damaged("applied state", err)
	}
	return s, nil
}

// Descriptor returns the descriptor of a range in the view.
func (v *View) Descriptor(id proto.RangeID) (*pontoonpb.Descriptor, error) {
	b, ok, err := v.getRaw(enginekey.AppendRange(nil, id, enginekey.Descriptor))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, rangeError(id, ErrRangeNotFound)
	}
	d, err := decodeDescriptor(b)
	if err != nil {
		return nil, damaged("descriptor", err)
	}
	return d, nil
}
