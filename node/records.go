package node

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/placement/roster"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func (c clusterView) roster() *roster.Roster { return roster.New(c.Sender) }

// Settings describes the cluster's settings.
func (c clusterView) Settings(ctx context.Context) ([]*pontoonpb.Setting, error) {
	return c.roster().Describe(ctx)
}

// ChangeSettings sets those named, all or none.
func (c clusterView) ChangeSettings(ctx context.Context, set []*pontoonpb.Setting) error {
	_, err := c.roster().Change(ctx, set)
	var wrong *roster.SettingError
	if errors.As(err, &wrong) {
		return status.Error(codes.InvalidArgument, wrong.Error())
	}
	return err
}

// Drain marks a node as draining, or as active again.
func (c clusterView) Drain(ctx context.Context, id proto.NodeID, undo bool) error {
	to := pontoonpb.NodeState_NODE_DRAINING
	if undo {
		to = pontoonpb.NodeState_NODE_ACTIVE
	}
	return c.setState(ctx, id, to)
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
	return c.setState(ctx, id, pontoonpb.NodeState_NODE_REMOVED)
}

func (c clusterView) setState(ctx context.Context, id proto.NodeID, to pontoonpb.NodeState) error {
	_, err := c.roster().Update(ctx, id, func(r *pontoonpb.NodeRecord) error {
		r.State = to
		return nil
	})
	if errors.Is(err, roster.ErrUnknown) || errors.Is(err, roster.ErrRemoved) {
		return refused("%v", err)
	}
	return err
}

func refused(format string, args ...any) error {
	return proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, format, args...)
}
