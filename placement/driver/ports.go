package driver

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Reports asks nodes, this one included, what they lead.
type Reports interface {
	// Reports blocks until the node answers or ctx ends. Of ranges that are as the
	// report of that boot and number left them, the reply holds the ids alone.
	Reports(ctx context.Context, node proto.NodeID, boot, since uint64) (*pontoonpb.ReportReply, error)
}

// Sender carries an operation to the leader of the range that holds op.Span;
// it retries what is safe to retry, until ctx ends.
type Sender interface {
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Transport carries an operation to one node, without retries.
type Transport interface {
	Call(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Roster reads node records and settings from the root range.
type Roster interface {
	Nodes(ctx context.Context) ([]*pontoonpb.NodeRecord, error)
	// Settings are as they were set, without defaults.
	Settings(ctx context.Context) (*pontoonpb.Settings, error)
}

// Liveness says which nodes answer. It must not block. A node that gossip never
// saw does not live; a suspect one does not, either.
type Liveness interface {
	Live(node proto.NodeID) bool
	// Stopping says which nodes said that they stop. It must not block.
	Stopping(node proto.NodeID) bool
}

// Ranges hands out range ids.
type Ranges interface {
	AllocRangeID(ctx context.Context) (proto.RangeID, error)
}

// Root tells where the root range is led.
type Root interface {
	// Leading reports whether this node leads the root range. It must not block.
	Leading() bool
	// Leader returns the node that leads it as far as is known, or 0. It must
	// not block.
	Leader() proto.NodeID
}
