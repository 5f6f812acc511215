package directory

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Directory reads and writes the records. Safe for concurrent use; it holds no
// state, every call goes to the root range.
type Directory struct {
	sender Sender
}

// New returns a directory.
func New(sender Sender) *Directory { return &Directory{sender: sender} }

// Lookup returns the recorded descriptor for a key. It may be older than the
// range; the range itself says so.
func (d *Directory) Lookup(ctx context.Context, key []byte) (*pontoonpb.Descriptor, error) {
	// Keyed by end, the record for key is the first one after it.
	span := proto.Span{Start: keys.Next(keys.Directory(key)), End: keys.DirectorySpan.End}
	records, err := d.read(ctx, span, 1)
	if err != nil {
		return nil, err
	}
	found, err := descriptors(records)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || !proto.SpanOf(found[0].Span).Contains(key) {
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "directory: no range is recorded for key %x", key)
	}
	return found[0], nil
}

// All returns the recorded descriptors in key order.
func (d *Directory) All(ctx context.Context) ([]*pontoonpb.Descriptor, error) {
	records, err := d.read(ctx, keys.DirectorySpan, 0)
	if err != nil {
		return nil, err
	}
	return descriptors(records)
}

// AllocRangeID returns a range id that nobody else gets (I3).
func (d *Directory) AllocRangeID(ctx context.Context) (proto.RangeID, error) {
	for {
		records, err := d.read(ctx, keys.Point(keys.NextRangeID), 1)
		if err != nil {
			return 0, err
		}
		id, before := firstFreeID, []byte(nil)
		if len(records) > 0 {
			before = records[0].Value
			if len(before) != 8 {
				return 0, fmt.Errorf("directory: next range id has %d bytes", len(before))
			}
			id = proto.RangeID(binary.BigEndian.Uint64(before))
		}
		err = d.write(ctx, &pontoonpb.SysWriteOp{
			Puts:       []*pontoonpb.SysRecord{{Key: keys.NextRangeID, Value: encodeID(id + 1)}},
			Conditions: []*pontoonpb.SysRecord{{Key: keys.NextRangeID, Value: before}},
		})
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_CONDITION_FAILED) {
			return id, err
		}
	}
}

func (d *Directory) read(ctx context.Context, span proto.Span, limit int64) ([]*pontoonpb.SysRecord, error) {
	reply, err := d.send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange),
		Span:    span.Wire(),
		Op:      &pontoonpb.RangeOp_SysRead{SysRead: &pontoonpb.SysReadOp{Limit: limit}},
	})
	if err != nil {
		return nil, fmt.Errorf("directory: read: %w", err)
	}
	return reply.GetSysRead().GetRecords(), nil
}

func (d *Directory) write(ctx context.Context, op *pontoonpb.SysWriteOp) error {
	_, err := d.send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange),
		Span:    keys.MetaSpan.Wire(),
		Op:      &pontoonpb.RangeOp_SysWrite{SysWrite: op},
	})
	if err != nil {
		return fmt.Errorf("directory: write: %w", err)
	}
	return nil
}

func (d *Directory) send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	reply, err := d.sender.Send(ctx, op)
	if err != nil {
		return nil, err
	}
	if err := proto.FromWire(reply.GetError()); err != nil {
		return nil, err
	}
	return reply, nil
}

func encodeID(id proto.RangeID) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(id))
}

func record(desc *pontoonpb.Descriptor) (*pontoonpb.SysRecord, error) {
	value, err := desc.MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("directory: descriptor of range %d: %w", desc.RangeId, err)
	}
	return &pontoonpb.SysRecord{Key: keys.Directory(desc.Span.GetEnd()), Value: value}, nil
}

func descriptors(records []*pontoonpb.SysRecord) ([]*pontoonpb.Descriptor, error) {
	list := make([]*pontoonpb.Descriptor, 0, len(records))
	for _, r := range records {
		desc := &pontoonpb.Descriptor{}
		if err := desc.UnmarshalVT(r.Value); err != nil {
			return nil, fmt.Errorf("directory: record %x: %w", r.Key, err)
		}
		list = append(list, desc)
	}
	return list, nil
}
