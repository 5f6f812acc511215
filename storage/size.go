package storage

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// Sizes of the engine in bytes.
type Sizes struct {
	Disk  int64 // all files, the write-ahead log and files about to go included
	InUse int64 // tables that hold live data, and the values that they refer to
}

// Sizes returns the engine's sizes.
func (e *Engine) Sizes() Sizes {
	m := e.db.Metrics()
	values := m.BlobFiles.LiveSize
	if all := m.BlobFiles.ValueSize; all > 0 { // of which some may have no key any more
		values = uint64(float64(values) * float64(m.BlobFiles.ReferencedValueSize) / float64(all))
	}
	return Sizes{Disk: int64(m.DiskSpaceUsage()), InUse: m.Total().TablesSize + int64(values)}
}

// SizeOf estimates the bytes on disk of a span's data. What is still in
// memtables does not count.
func (e *Engine) SizeOf(span proto.Span) (int64, error) {
	if span.Empty() {
		return 0, nil
	}
	var n uint64
	for _, t := range enginekey.Replicated {
		lower, upper := enginekey.Bounds(t, span)
		part, err := e.db.EstimateDiskUsage(lower, upper)
		if err != nil {
			return 0, wrap("size", err)
		}
		n += part
	}
	return int64(n), nil
}
