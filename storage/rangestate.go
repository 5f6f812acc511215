package storage

import (
	"cmp"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// loadRanges fills the table of logs from disk.
func (e *Engine) loadRanges() error {
	it, err := e.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{byte(enginekey.Range)}, UpperBound: []byte{byte(enginekey.Range) + 1, 0},
	})
	if err != nil {
		return wrap("list ranges", err)
	}
	defer it.Close()
	for ok := it.First(); ok; {
		id, _, _, valid := enginekey.DecodeRange(it.Key())
		if !valid {
			return damaged("range record", errors.New("key not understood"))
		}
		l := newLog(e, id)
		if err := l.load(); err != nil {
			return rangeError(id, err)
		}
		e.logs[id] = l
		ok = it.SeekGE(enginekey.RangeEnd(id))
	}
	return wrap("list ranges", it.Error())
}

func (e *Engine) rangesLocked() ([]RangeState, error) {
	var all []RangeState
	for _, l := range e.logs {
		if s := l.snapshotState(); s.desc != nil {
			all = append(all, RangeState{
				Descriptor: cloneDescriptor(s.desc), HardState: s.hardState(), Truncated: s.truncated, Applied: s.applied,
			})
		}
	}
	slices.SortFunc(all, func(a, b RangeState) int { return cmp.Compare(a.ID(), b.ID()) })
	return all, nil
}

// overlapping returns another initialised range of this node whose span
// overlaps s, except those given.
func (e *Engine) overlapping(id proto.RangeID, s proto.Span, except ...*Log) (proto.RangeID, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for other, l := range e.logs {
		if d := l.snapshotState().desc; other != id && d != nil && proto.SpanOf(d.GetSpan()).Overlaps(s) &&
			!slices.Contains(except, l) {
			return other, true
		}
	}
	return 0, false
}

// unowned returns the parts of s that no range of this node but id holds.
func (e *Engine) unowned(id proto.RangeID, s proto.Span) []proto.Span {
	e.mu.Lock()
	defer e.mu.Unlock()
	parts := []proto.Span{s}
	for other, l := range e.logs {
		d := l.snapshotState().desc
		if other == id || d == nil {
			continue
		}
		var rest []proto.Span
		for _, p := range parts {
			rest = append(rest, subtract(p, proto.SpanOf(d.GetSpan()))...)
		}
		parts = rest
	}
	return slices.DeleteFunc(parts, proto.Span.Empty)
}

// subtract returns what of s lies outside of o.
func subtract(s, o proto.Span) []proto.Span {
	if !s.Overlaps(o) {
		return []proto.Span{s}
	}
	return []proto.Span{{Start: s.Start, End: o.Start}, {Start: o.End, End: s.End}}
}

// Tombstone returns the lowest replica id that may still live on this node;
// 0 if no replica of the range was ever removed from here.
func (e *Engine) Tombstone(id proto.RangeID) (proto.ReplicaID, error) {
	b, ok, err := e.get(enginekey.AppendTombstone(nil, id))
	if err != nil || !ok {
		return 0, err
	}
	r := varints{b: b}
	next := proto.ReplicaID(r.uint())
	if err := r.done(); err != nil {
		return 0, damaged("tombstone", err)
	}
	return next, nil
}

func cloneDescriptor(d *pontoonpb.Descriptor) *pontoonpb.Descriptor {
	return gproto.Clone(d).(*pontoonpb.Descriptor)
}

func decodeDescriptor(b []byte) (*pontoonpb.Descriptor, error) {
	d := new(pontoonpb.Descriptor)
	return d, d.UnmarshalVT(b)
}
