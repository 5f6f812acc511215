package storage

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// spanChunkBytes is the size at which a span deletion commits what it has.
const spanChunkBytes = 1 << 20

// applyDeleteSpan writes tombstones for every key that is live in the span just
// before the effect, in key order, subs counted from the effect's (P36). Beyond
// a chunk it commits without the applied state; after a crash the entry is
// applied again and, as it looks only at what was before it, finds the same
// keys and writes the same tombstones.
func (b *Batch) applyDeleteSpan(res *ApplyResult, ef *pontoonpb.Effect) error {
	// What the batch holds must be visible to the scan. Every part of it can be
	// repeated too, so it may be committed without its applied state.
	if err := b.spill(); err != nil {
		return err
	}
	view, err := b.e.NewLongView()
	if err != nil {
		return err
	}
	defer view.Close()
	rev, sub := proto.Revision(ef.Rev), ef.Sub
	span := proto.Span{Start: ef.Key, End: ef.End}
	return view.newest(span, before(rev, sub), func(v *Version) (bool, error) {
		if v.Tombstone {
			return true, nil
		}
		if err := b.tombstone(res, bytes.Clone(v.Key), rev, sub, int64(v.Lease)); err != nil {
			return false, err
		}
		sub++
		res.LiveDelta--
		if b.b.Len() < spanChunkBytes {
			return true, nil
		}
		return true, b.spill()
	})
}

// spill commits what the batch holds, unsynced, and goes on with an empty one.
func (b *Batch) spill() error {
	if b.b.Empty() {
		return nil
	}
	if err := b.b.Commit(pebble.NoSync); err != nil {
		return wrap("apply", err)
	}
	b.count()
	err := b.b.Close()
	b.b = b.e.db.NewBatch()
	return wrap("apply", err)
}
