package storage

import (
	"errors"
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// LocalRecord is one unversioned record.
type LocalRecord struct {
	Key, Suffix, Value []byte
}

// Local calls fn for every unversioned record of the space whose key lies in
// the span, by key and suffix, until fn returns false or an error. The bytes
// are valid until fn returns.
func (v *View) Local(s pontoonpb.Space, span proto.Span, fn func(LocalRecord) (bool, error)) error {
	t, ok := enginekey.Local(s)
	if !ok {
		return fmt.Errorf("storage: unknown space %d", s)
	}
	return v.each(t, span, func(key, suffix, value []byte) (bool, error) {
		return fn(LocalRecord{Key: key, Suffix: suffix, Value: value})
	})
}

// GetLocal returns a copy of one unversioned record; false if there is none.
func (v *View) GetLocal(s pontoonpb.Space, key, suffix []byte) ([]byte, bool, error) {
	t, ok := enginekey.Local(s)
	if !ok {
		return nil, false, fmt.Errorf("storage: unknown space %d", s)
	}
	if len(suffix) > enginekey.MaxSuffix {
		return nil, false, nil
	}
	v.buf = enginekey.AppendSuffixed(v.buf[:0], t, key, suffix)
	return v.getRaw(v.buf)
}

// LeaseKeys calls fn for every lease index entry of the span, of one lease or,
// with lease 0, of all; by key, then lease. The key is valid until fn returns.
func (v *View) LeaseKeys(span proto.Span, lease proto.LeaseID, fn func(key []byte, lease proto.LeaseID) (bool, error)) error {
	return v.each(enginekey.LeaseIdx, span, func(key, suffix, _ []byte) (bool, error) {
		n, ok := enginekey.Number(suffix)
		if !ok {
			return false, damaged("lease index", errors.New("key not understood"))
		}
		if id := proto.LeaseID(n); lease == 0 || lease == id {
			return fn(key, id)
		}
		return true, nil
	})
}

// each walks the span's part of one space.
func (v *View) each(t enginekey.Tag, span proto.Span, fn func(key, suffix, value []byte) (bool, error)) error {
	if span.Empty() {
		return nil
	}
	it, err := v.spanIter(t, span)
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		_, key, suffix, ok := enginekey.Decode(it.Key())
		if !ok {
			return damaged("record", errors.New("key not understood"))
		}
		value, err := v.e.valueOf(it)
		if err != nil {
			return wrap("read record", err)
		}
		more, err := fn(key, suffix, value)
		if err != nil || !more {
			return err
		}
	}
	return wrap("scan records", it.Error())
}
