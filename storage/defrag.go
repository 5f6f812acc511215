package storage

import (
	"bytes"
	"context"
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Defragment gives back the space of what was dropped and deleted: it flushes
// and compacts all users' data, a range's span at a time, and reads and writes
// go on meanwhile. It returns between two spans once ctx ended. One runs at a
// time; another caller waits its turn.
func (e *Engine) Defragment(ctx context.Context) error {
	select {
	case e.defrag <- struct{}{}:
		defer func() { <-e.defrag }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := e.db.Flush(); err != nil {
		return wrap("defragment", err)
	}
	pieces, err := e.defragPieces()
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.db.Compact(ctx, p.Start, p.End, false); err != nil {
			return wrap("defragment", err)
		}
	}
	e.usage.measuring.Lock()
	defer e.usage.measuring.Unlock()
	return e.measure()
}

// defragPieces are the engine spans to compact: everything before the versions
// at once, since it is small, and the versions cut where ranges begin.
func (e *Engine) defragPieces() ([]proto.Span, error) {
	ranges, err := e.Ranges()
	if err != nil {
		return nil, err
	}
	lower, _ := enginekey.Bounds(enginekey.Replicated[0], keys.MetaSpan)
	start, end := enginekey.Bounds(enginekey.Versions, keys.UserSpan)
	pieces := []proto.Span{{Start: lower, End: start}}
	last := proto.Span{Start: start, End: end}
	for _, cut := range cuts(ranges) {
		at := enginekey.Append(nil, enginekey.Versions, cut)
		if bytes.Compare(at, last.Start) > 0 && bytes.Compare(at, last.End) < 0 {
			pieces = append(pieces, proto.Span{Start: last.Start, End: at})
			last.Start = at
		}
	}
	return append(pieces, last), nil
}

// cuts are the starts of the ranges in key order.
func cuts(ranges []RangeState) (at [][]byte) {
	for i := range ranges {
		at = append(at, ranges[i].Descriptor.GetSpan().GetStart())
	}
	slices.SortFunc(at, bytes.Compare)
	return at
}
