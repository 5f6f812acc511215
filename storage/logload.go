package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// Bounds of the entries that one log keeps in memory: generous while all logs
// together are within their limit, tight beyond.
const (
	tailGenerous = 2 << 20
	tailTight    = 32 << 10
)

func (e *Engine) tailLimit(total int64) int64 {
	if total > e.opts.LogCacheBytes {
		return min(tailTight, e.opts.LogCacheBytes)
	}
	return min(tailGenerous, e.opts.LogCacheBytes)
}

// load reads the log's state from disk.
func (l *Log) load() error {
	st, err := l.e.readState(l.id)
	if err != nil {
		return err
	}
	it, err := l.iter(1)
	if err != nil {
		return err
	}
	defer it.Close()
	st.last = st.truncated
	if it.Last() {
		index, e, err := entryAt(it)
		if err != nil {
			return err
		}
		if proto.Index(index) > st.truncated.Index {
			st.last = LogMark{Index: proto.Index(index), Term: proto.Term(e.GetTerm())}
		}
	}
	l.st = st
	l.tail.clear(uint64(st.last.Index) + 1)
	return wrap("load log", it.Error())
}

// readState reads the range-local records but the log's end.
func (e *Engine) readState(id proto.RangeID) (st logState, err error) {
	st.applied.Floor = proto.NeverCompacted
	read := func(r enginekey.Record, decode func([]byte) error) {
		if err != nil {
			return
		}
		var b []byte
		var ok bool
		if b, ok, err = e.get(enginekey.AppendRange(nil, id, r)); err != nil || !ok {
			return
		}
		if derr := decode(b); derr != nil {
			err = damaged(fmt.Sprintf("range record %d", r), derr)
		}
	}
	read(enginekey.HardState, func(b []byte) (err error) { st.hs, err = decodeHardState(b); return })
	read(enginekey.Truncated, func(b []byte) (err error) { st.truncated, err = decodeMark(b); return })
	read(enginekey.Applied, func(b []byte) (err error) { st.applied, err = decodeApplied(b); return })
	read(enginekey.Descriptor, func(b []byte) (err error) { st.desc, err = decodeDescriptor(b); return })
	return st, err
}

func (l *Log) iter(from proto.Index) (*pebble.Iterator, error) {
	lower, upper := enginekey.LogBounds(l.id, from)
	it, err := l.e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	return it, wrap("read log", err)
}

func entryAt(it *pebble.Iterator) (uint64, *raftpb.Entry, error) {
	_, _, suffix, _ := enginekey.DecodeRange(it.Key())
	index, ok := enginekey.Number(suffix)
	if !ok {
		return 0, nil, damaged("log entry", errors.New("key not understood"))
	}
	b, err := it.ValueAndErr()
	if err != nil {
		return 0, nil, wrap("read log", err)
	}
	e, err := decodeEntry(index, b)
	if err != nil {
		return 0, nil, damaged(fmt.Sprintf("log entry %d", index), err)
	}
	return index, e, nil
}

// readLocked reads entries that the tail no longer holds, and goes on in the
// tail where it starts.
func (l *Log) readLocked(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	it, err := l.iter(proto.Index(lo))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var ents []*raftpb.Entry
	var size uint64
	next := lo
	for ok := it.First(); ok && next < hi && next < l.tail.first; ok = it.Next() {
		index, e, err := entryAt(it)
		if err != nil {
			return nil, err
		}
		if index != next {
			break
		}
		if size += uint64(entryLen(e)); size > maxSize && len(ents) > 0 {
			return ents, nil
		}
		ents = append(ents, e)
		next++
	}
	if err := it.Error(); err != nil {
		return nil, wrap("read log", err)
	}
	switch {
	case next < hi && next < l.tail.first:
		return nil, damaged(fmt.Sprintf("log of range %d", l.id), fmt.Errorf("entry %d is missing: %w", next, raft.ErrUnavailable))
	case next < hi:
		ents = limited(append(ents, l.tail.slice(next, hi)...), maxSize)
	}
	return ents, nil
}
