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

// Settings describes the cluster's settings.
func (c clusterView) Settings(ctx context.Context) ([]*pontoonpb.Setting, error) {
	return roster.New(c.Sender).Describe(ctx)
}

// ChangeSettings sets those named, all or none.
func (c clusterView) ChangeSettings(ctx context.Context, set []*pontoonpb.Setting) error {
	_, err := roster.New(c.Sender).Change(ctx, set)
	var wrong *roster.SettingError
	if errors.As(err, &wrong) {
		return status.Error(codes.InvalidArgument, wrong.Error())
	}
	return err
}

// Drain marks a node as draining, or as active again.
func (c clusterView) Drain(ctx context.Context, id proto.NodeID, undo bool) error {
	return c.node.membership.Drain(ctx, id, undo)
}

// Remove takes a node out for good.
func (c clusterView) Remove(ctx context.Context, id proto.NodeID, force bool) error {
	return c.node.membership.Remove(ctx, id, force)
}
