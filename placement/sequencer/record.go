package sequencer

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// LimitRecord is Limits over the root range's SysWrite. Every write is
// conditional on the limit before it, so that a write of a deposed leader that
// reaches the next one cannot lower or repeat anything.
type LimitRecord struct {
	Sender Sender // to the local replica of the root range
}

// Persist implements Limits.
func (l LimitRecord) Persist(ctx context.Context, prev, next proto.Revision) error {
	err := l.write(ctx, EncodeLimit(prev), next)
	if prev == proto.FirstRevision && proto.HasCode(err, pontoonpb.RangeErrorCode_CONDITION_FAILED) {
		err = l.write(ctx, nil, next) // a new cluster has no record
	}
	return err
}

func (l LimitRecord) write(ctx context.Context, prev []byte, next proto.Revision) error {
	reply, err := l.Sender.Send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange),
		Span:    keys.Point(keys.SequencerLimit).Wire(),
		Op: &pontoonpb.RangeOp_SysWrite{SysWrite: &pontoonpb.SysWriteOp{
			Puts:       []*pontoonpb.SysRecord{{Key: keys.SequencerLimit, Value: EncodeLimit(next)}},
			Conditions: []*pontoonpb.SysRecord{{Key: keys.SequencerLimit, Value: prev}},
		}},
	})
	if err != nil {
		return err
	}
	return proto.FromWire(reply.Error)
}

// EncodeLimit returns the value of the limit record.
func EncodeLimit(limit proto.Revision) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(limit))
}

// DecodeLimit is the inverse of EncodeLimit; an absent record is the limit of
// an empty store.
func DecodeLimit(value []byte) (proto.Revision, error) {
	switch len(value) {
	case 0:
		return proto.FirstRevision, nil
	case 8:
		return proto.Revision(binary.BigEndian.Uint64(value)), nil
	}
	return 0, fmt.Errorf("sequencer limit record has %d bytes", len(value))
}
