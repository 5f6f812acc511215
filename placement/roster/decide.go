package roster

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Decide writes the record that fn makes of all records, and returns it with
// its revision; nil: fn left all as they are by returning nil. It is for rules
// that look at more than one record, like that no two members share an address:
// of two decisions that race the later one starts over (I4). fn must not change
// what it is given; its error is returned as it is.
func (r *Roster) Decide(
	ctx context.Context, fn func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error),
) (*pontoonpb.NodeRecord, error) {
	var written []byte // of an attempt whose fate is unknown
	var last *pontoonpb.NodeRecord
	for {
		// The counter first: a decision between the two readings moves it.
		counter, err := r.get(ctx, keys.Roster)
		if err != nil {
			return nil, err
		}
		all, err := r.Nodes(ctx)
		if err != nil {
			return nil, err
		}
		if have := withID(all, last.GetNodeId()); written != nil && have != nil && have.Revision >= last.Revision {
			if value, err := have.MarshalVT(); err == nil && bytes.Equal(value, written) {
				return have, nil
			}
		}
		next, err := fn(all)
		if err != nil || next == nil {
			return nil, err
		}
		have := withID(all, next.NodeId)
		if have.GetState() == pontoonpb.NodeState_NODE_REMOVED { // I2
			return nil, ErrRemoved
		}
		next = clone(next)
		next.Revision = have.GetRevision()
		if have != nil && gproto.Equal(next, have) {
			return have, nil
		}
		next.Revision++
		value, err := next.MarshalVT()
		if err != nil {
			return nil, fmt.Errorf("roster: node %x: %w", next.NodeId, err)
		}
		if err = r.writeDecided(ctx, counter, have, next.NodeId, value); err == nil {
			return next, nil
		}
		if proto.HasCode(err, pontoonpb.RangeErrorCode_AMBIGUOUS) {
			written, last = value, next
		}
		if !again(ctx, err) {
			return nil, err
		}
	}
}

func (r *Roster) writeDecided(ctx context.Context, counter []byte, have *pontoonpb.NodeRecord, id uint64, value []byte) error {
	var before []byte
	if have != nil {
		var err error
		if before, err = have.MarshalVT(); err != nil {
			return fmt.Errorf("roster: node %x: %w", id, err)
		}
	}
	key := keys.Node(proto.NodeID(id))
	_, err := r.send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange),
		Span:    keys.MetaSpan.Wire(),
		Op: &pontoonpb.RangeOp_SysWrite{SysWrite: &pontoonpb.SysWriteOp{
			Puts:       []*pontoonpb.SysRecord{{Key: key, Value: value}, {Key: keys.Roster, Value: next(counter)}},
			Conditions: []*pontoonpb.SysRecord{{Key: key, Value: before}, {Key: keys.Roster, Value: counter}},
		}},
	})
	if err != nil {
		return fmt.Errorf("roster: write: %w", err)
	}
	return nil
}

// next returns the counter after the one given, which is nil at first.
func next(counter []byte) []byte {
	var n uint64
	if len(counter) == 8 {
		n = binary.BigEndian.Uint64(counter)
	}
	return binary.BigEndian.AppendUint64(nil, n+1)
}

func withID(all []*pontoonpb.NodeRecord, id uint64) *pontoonpb.NodeRecord {
	for _, n := range all {
		if n.NodeId == id {
			return n
		}
	}
	return nil
}
