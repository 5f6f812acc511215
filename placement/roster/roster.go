package roster

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Refusals of a change.
var (
	ErrUnknown = errors.New("roster: node is not a member of the cluster")
	ErrRemoved = errors.New("roster: node was removed from the cluster for good")
	ErrExists  = errors.New("roster: node is a member already")
)

// Roster reads and changes the records. Safe for concurrent use.
type Roster struct {
	sender Sender
}

// New returns a roster.
func New(sender Sender) *Roster { return &Roster{sender: sender} }

// Nodes returns the records of all nodes by id, the removed ones too.
func (r *Roster) Nodes(ctx context.Context) ([]*pontoonpb.NodeRecord, error) {
	records, err := r.read(ctx, keys.NodeSpan)
	if err != nil {
		return nil, err
	}
	nodes := make([]*pontoonpb.NodeRecord, 0, len(records))
	for _, rec := range records {
		n := &pontoonpb.NodeRecord{}
		if err := n.UnmarshalVT(rec.Value); err != nil {
			return nil, fmt.Errorf("roster: record %x: %w", rec.Key, err)
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// Node returns the record of a node, or ErrUnknown.
func (r *Roster) Node(ctx context.Context, id proto.NodeID) (*pontoonpb.NodeRecord, error) {
	n, _, err := r.node(ctx, id)
	if err == nil && n == nil {
		err = ErrUnknown
	}
	return n, err
}

// Add writes the record of a new node and returns it with its revision.
// ErrExists if the id is taken, ErrRemoved if by a node that was removed.
func (r *Roster) Add(ctx context.Context, record *pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
	added := clone(record)
	added.Revision = 1
	return r.change(ctx, proto.NodeID(record.NodeId), func(have *pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		switch {
		case have == nil:
			return added, nil
		case have.State == pontoonpb.NodeState_NODE_REMOVED:
			return nil, ErrRemoved
		default:
			return nil, ErrExists
		}
	})
}

// Update changes the record of a node and returns what it became. fn gets a
// copy to change; it is called again when another change came between, and its
// error is returned as it is. Leaving the copy as it is writes nothing.
func (r *Roster) Update(
	ctx context.Context, id proto.NodeID, fn func(*pontoonpb.NodeRecord) error,
) (*pontoonpb.NodeRecord, error) {
	return r.change(ctx, id, func(have *pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		switch {
		case have == nil:
			return nil, ErrUnknown
		case have.State == pontoonpb.NodeState_NODE_REMOVED: // I2
			return nil, ErrRemoved
		}
		next := clone(have)
		if err := fn(next); err != nil {
			return nil, err
		}
		next.NodeId, next.Revision = have.NodeId, have.Revision
		if gproto.Equal(next, have) {
			return have, nil
		}
		next.Revision++
		return next, nil
	})
}

// change moves a record from what it is to what fn makes of it (I1). fn
// returns its argument to leave it.
func (r *Roster) change(
	ctx context.Context, id proto.NodeID, fn func(have *pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error),
) (*pontoonpb.NodeRecord, error) {
	var written []byte // of an attempt whose fate is unknown
	for {
		have, before, err := r.node(ctx, id)
		if err != nil {
			return nil, err
		}
		if written != nil && bytes.Equal(before, written) {
			return have, nil
		}
		next, err := fn(have)
		if err != nil || next == have {
			return next, err
		}
		value, err := next.MarshalVT()
		if err != nil {
			return nil, fmt.Errorf("roster: node %x: %w", uint64(id), err)
		}
		err = r.replace(ctx, keys.Node(id), before, value)
		if err == nil {
			return next, nil
		}
		if proto.HasCode(err, pontoonpb.RangeErrorCode_AMBIGUOUS) {
			written = value
		}
		if !again(ctx, err) {
			return nil, err
		}
	}
}

// again reports whether a failed write may start over: its condition did not
// hold, or it is not known whether it was written, which a new look decides.
func again(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (proto.HasCode(err, pontoonpb.RangeErrorCode_CONDITION_FAILED) ||
		proto.HasCode(err, pontoonpb.RangeErrorCode_AMBIGUOUS))
}

func (r *Roster) node(ctx context.Context, id proto.NodeID) (*pontoonpb.NodeRecord, []byte, error) {
	value, err := r.get(ctx, keys.Node(id))
	if err != nil || value == nil {
		return nil, nil, err
	}
	n := &pontoonpb.NodeRecord{}
	if err := n.UnmarshalVT(value); err != nil {
		return nil, nil, fmt.Errorf("roster: record of node %x: %w", uint64(id), err)
	}
	return n, value, nil
}

// get returns the value of a record, nil if there is none.
func (r *Roster) get(ctx context.Context, key []byte) ([]byte, error) {
	records, err := r.read(ctx, keys.Point(key))
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return records[0].Value, nil
}

func (r *Roster) read(ctx context.Context, span proto.Span) ([]*pontoonpb.SysRecord, error) {
	reply, err := r.send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange),
		Span:    span.Wire(),
		Op:      &pontoonpb.RangeOp_SysRead{SysRead: &pontoonpb.SysReadOp{}},
	})
	if err != nil {
		return nil, fmt.Errorf("roster: read: %w", err)
	}
	return reply.GetSysRead().GetRecords(), nil
}

// replace writes value if the record still is before; nil: is absent.
func (r *Roster) replace(ctx context.Context, key, before, value []byte) error {
	_, err := r.send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange),
		Span:    keys.MetaSpan.Wire(),
		Op: &pontoonpb.RangeOp_SysWrite{SysWrite: &pontoonpb.SysWriteOp{
			Puts:       []*pontoonpb.SysRecord{{Key: key, Value: value}},
			Conditions: []*pontoonpb.SysRecord{{Key: key, Value: before}},
		}},
	})
	if err != nil {
		return fmt.Errorf("roster: write: %w", err)
	}
	return nil
}

func (r *Roster) send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	reply, err := r.sender.Send(ctx, op)
	if err != nil {
		return nil, err
	}
	return reply, proto.FromWire(reply.GetError())
}

func clone[M gproto.Message](m M) M { return gproto.Clone(m).(M) }
