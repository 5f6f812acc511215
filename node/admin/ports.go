package admin

import (
	"context"

	"github.com/pontoon-kv/pontoon/node/integrity"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Cluster is what the service needs of the node that it runs in. An error with
// code REFUSED is a reason for the operator and reaches him as it is.
type Cluster interface {
	Ranges
	Members
	Placement
	integrity.Alarms
}

// Ranges reaches nodes and ranges.
type Ranges interface {
	// Describe asks a node, this one included, to describe itself.
	Describe(ctx context.Context, node proto.NodeID) (*pontoonpb.DescribeReply, error)
	// Send runs an operation on the leader of the range at op.Span.Start.
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
	// Call runs an operation on the replica of a node, this one included.
	Call(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
	// AllocRangeID returns an id that no range ever had.
	AllocRangeID(ctx context.Context) (proto.RangeID, error)
}

// Members are the nodes that belong to the cluster.
type Members interface {
	// Nodes lists all members with what is known of each.
	Nodes() []*pontoonpb.NodeStatus
	// Drain marks a node as draining, or with undo as active again. It returns
	// once that is written, not once the node is empty.
	Drain(ctx context.Context, node proto.NodeID, undo bool) error
	// Remove takes a node out for good; REFUSED while it holds replicas, unless
	// force.
	Remove(ctx context.Context, node proto.NodeID, force bool) error
}

// Placement is the placement driver, wherever it runs, and its settings.
type Placement interface {
	// Place asks the driver; the reply is its own, never a redirect.
	Place(ctx context.Context, req *pontoonpb.PlaceRequest) (*pontoonpb.PlaceReply, error)
	// Settings describes all settings with what is in force.
	Settings(ctx context.Context) ([]*pontoonpb.Setting, error)
	// ChangeSettings sets those named, all or none; a value that makes no sense
	// is InvalidArgument.
	ChangeSettings(ctx context.Context, set []*pontoonpb.Setting) error
}
