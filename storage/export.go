package storage

import (
	"io"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// ExportInfo says what a stream holds.
type ExportInfo struct {
	Descriptor *pontoonpb.Descriptor
	Applied    AppliedState
	Records    int64
	Bytes      int64
}

// Export writes a range as the view shows it, data and range-local state, as a
// stream for StageSnapshot. The raft snapshot's index and term are those of
// the returned applied state. Memory stays bounded by a chunk.
func (v *View) Export(id proto.RangeID, w io.Writer) (ExportInfo, error) {
	var info ExportInfo
	var err error
	if info.Applied, err = v.Applied(id); err != nil {
		return info, err
	}
	if info.Descriptor, err = v.Descriptor(id); err != nil {
		return info, err
	}
	c := chunkWriter{w: w}
	if err := c.header(info.Descriptor, &info.Applied); err != nil {
		return info, wrap("export", err)
	}
	span := proto.SpanOf(info.Descriptor.GetSpan())
	for _, t := range enginekey.Replicated {
		n, err := v.exportSpace(&c, t, span)
		if err != nil {
			return info, wrap("export", err)
		}
		info.Records += n
	}
	err = c.end(info.Records)
	info.Bytes = c.bytes
	return info, wrap("export", err)
}

func (v *View) exportSpace(c *chunkWriter, t enginekey.Tag, span proto.Span) (n int64, err error) {
	it, err := v.spanIter(t, span)
	if err != nil {
		return 0, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := v.e.valueOf(it)
		if err != nil {
			return n, err
		}
		if err := c.record(it.Key(), value); err != nil {
			return n, err
		}
		n++
	}
	return n, it.Error()
}
