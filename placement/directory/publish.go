package directory

import (
	"bytes"
	"context"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Publish brings a range's descriptor into the directory, unless newer ones
// hold its span (I2). It retries when others publish at the same time.
func (d *Directory) Publish(ctx context.Context, desc *pontoonpb.Descriptor) error {
	for {
		before, err := d.overlapping(ctx, proto.SpanOf(desc.Span))
		if err != nil {
			return err
		}
		op, err := change(before, desc)
		if err != nil || op == nil {
			return err
		}
		err = d.write(ctx, op)
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_CONDITION_FAILED) {
			return err
		}
	}
}

// overlapping reads the records of the span, the one that reaches beyond its
// end included.
func (d *Directory) overlapping(ctx context.Context, span proto.Span) ([]*pontoonpb.SysRecord, error) {
	upTo := keys.Next(keys.Directory(span.End))
	records, err := d.read(ctx, proto.Span{Start: keys.Next(keys.Directory(span.Start)), End: upTo}, 0)
	if err != nil {
		return nil, err
	}
	if n := len(records); n > 0 && bytes.Equal(records[n-1].Key, keys.Directory(span.End)) {
		return records, nil
	}
	beyond, err := d.read(ctx, proto.Span{Start: upTo, End: keys.DirectorySpan.End}, 1)
	return append(records, beyond...), err
}

// change returns the write that merges desc into the records, nil if there is
// nothing to change. It holds only if every record is as it was read: since
// records tile the keyspace, no other change of the span goes unnoticed.
func change(before []*pontoonpb.SysRecord, desc *pontoonpb.Descriptor) (*pontoonpb.SysWriteOp, error) {
	existing, err := descriptors(before)
	if err != nil {
		return nil, err
	}
	op := &pontoonpb.SysWriteOp{}
	old := map[string][]byte{}
	for _, r := range before {
		old[string(r.Key)] = r.Value
		op.Conditions = append(op.Conditions, r)
	}
	for _, m := range merge(existing, desc) {
		r, err := record(m)
		if err != nil {
			return nil, err
		}
		value, known := old[string(r.Key)]
		delete(old, string(r.Key))
		if bytes.Equal(value, r.Value) {
			continue
		}
		op.Puts = append(op.Puts, r)
		if !known {
			op.Conditions = append(op.Conditions, &pontoonpb.SysRecord{Key: r.Key})
		}
	}
	for _, r := range before {
		if _, left := old[string(r.Key)]; left {
			op.Deletes = append(op.Deletes, r.Key)
		}
	}
	if len(op.Puts) == 0 && len(op.Deletes) == 0 {
		return nil, nil
	}
	return op, nil
}
