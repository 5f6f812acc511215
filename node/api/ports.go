package api

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Sequencer tells the current revision and compaction floor.
type Sequencer interface {
	// Current returns a read revision asked for after the call began, and the
	// floor that came with it. Blocks until the sequencer answers or ctx ends.
	Current(ctx context.Context) (rev, floor proto.Revision, err error)
	// Seen returns the highest revision this node has received.
	Seen() proto.Revision
}

// Store is the local store.
type Store interface {
	// Do runs an operation on a local replica.
	Do(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply
	// Statuses describes the local replicas.
	Statuses() []*pontoonpb.RangeStatus
	// PushClosed asks every node to close its idle ranges at rev.
	PushClosed(rev proto.Revision)
	// Sizes returns the engine's size on disk and the part that is live, bytes.
	Sizes() (total, inUse int64)
}

// Ranges covers spans and sends operations to wherever a range is served.
type Ranges interface {
	Cover(ctx context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error)
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Nodes lists the members of the cluster with what is known of each.
type Nodes interface {
	Nodes() []*pontoonpb.NodeStatus
	// Confirm returns once a majority of the root range agrees that this
	// node's view is current, or an error.
	Confirm(ctx context.Context) error
}
