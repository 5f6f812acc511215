package node

import (
	"context"
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// changeRecord replaces a record of the root range by what change makes of it,
// under the condition that nobody wrote it meanwhile; then change runs again.
func (c clusterView) changeRecord(ctx context.Context, key []byte, change func(before []byte) ([]byte, error)) error {
	for {
		before, err := c.readRecord(ctx, key)
		if err != nil {
			return err
		}
		after, err := change(before)
		if err != nil {
			return err
		}
		_, err = c.Send(ctx, &pontoonpb.RangeOp{
			RangeId: uint64(proto.RootRange), Span: keys.MetaSpan.Wire(),
			Op: &pontoonpb.RangeOp_SysWrite{SysWrite: &pontoonpb.SysWriteOp{
				Puts:       []*pontoonpb.SysRecord{{Key: key, Value: after}},
				Conditions: []*pontoonpb.SysRecord{{Key: key, Value: before}},
			}},
		})
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_CONDITION_FAILED) {
			return err
		}
	}
}

// readRecord returns a record of the root range, nil if there is none.
func (c clusterView) readRecord(ctx context.Context, key []byte) ([]byte, error) {
	reply, err := c.Send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange), Span: keys.Point(key).Wire(),
		Op: &pontoonpb.RangeOp_SysRead{SysRead: &pontoonpb.SysReadOp{Limit: 1}},
	})
	if err != nil {
		return nil, err
	}
	if records := reply.GetSysRead().GetRecords(); len(records) > 0 {
		return records[0].Value, nil
	}
	return nil, nil
}

// Settings returns the cluster's settings as written.
func (c clusterView) Settings(ctx context.Context) (*pontoonpb.Settings, error) {
	b, err := c.readRecord(ctx, keys.Settings)
	if err != nil {
		return nil, err
	}
	return decodeSettings(b)
}

// ChangeSettings writes what change makes of the settings.
func (c clusterView) ChangeSettings(ctx context.Context, change func(*pontoonpb.Settings) error) (after *pontoonpb.Settings, err error) {
	err = c.changeRecord(ctx, keys.Settings, func(before []byte) ([]byte, error) {
		if after, err = decodeSettings(before); err != nil {
			return nil, err
		}
		if err := change(after); err != nil {
			return nil, err
		}
		return after.MarshalVT()
	})
	return after, err
}

func decodeSettings(b []byte) (*pontoonpb.Settings, error) {
	s := &pontoonpb.Settings{}
	if err := s.UnmarshalVT(b); err != nil {
		return nil, fmt.Errorf("settings record: %w", err)
	}
	return s, nil
}

// Drain marks a node as draining, or as active again.
func (c clusterView) Drain(ctx context.Context, id proto.NodeID, undo bool) error {
	to := pontoonpb.NodeState_NODE_DRAINING
	if undo {
		to = pontoonpb.NodeState_NODE_ACTIVE
	}
	return c.changeNode(ctx, id, func(r *pontoonpb.NodeRecord) error {
		if r.State == pontoonpb.NodeState_NODE_REMOVED {
			return refused("node %s was removed for good", r.Name)
		}
		r.State = to
		return nil
	})
}

// Remove takes a node out for good.
func (c clusterView) Remove(ctx context.Context, id proto.NodeID, force bool) error {
	if id == c.node.members.Self && force {
		return refused("a node that answers is drained, not removed by force")
	}
	if !force {
		for _, n := range c.Nodes() {
			if n.NodeId == uint64(id) && n.Replicas > 0 {
				return refused("node %s holds %d replicas; drain it first, or use force if it is lost", n.Name, n.Replicas)
			}
		}
	}
	return c.changeNode(ctx, id, func(r *pontoonpb.NodeRecord) error {
		r.State = pontoonpb.NodeState_NODE_REMOVED
		return nil
	})
}

func (c clusterView) changeNode(ctx context.Context, id proto.NodeID, change func(*pontoonpb.NodeRecord) error) error {
	return c.changeRecord(ctx, keys.Node(id), func(before []byte) ([]byte, error) {
		if len(before) == 0 {
			return nil, refused("node %x has no record", uint64(id))
		}
		r := &pontoonpb.NodeRecord{}
		if err := r.UnmarshalVT(before); err != nil {
			return nil, fmt.Errorf("record of node %x: %w", uint64(id), err)
		}
		if err := change(r); err != nil {
			return nil, err
		}
		r.Revision++
		return r.MarshalVT()
	})
}

func refused(format string, args ...any) error {
	return proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, format, args...)
}
