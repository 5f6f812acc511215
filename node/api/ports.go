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

// Members knows and changes who belongs to the cluster. Refusals carry etcd's
// errors. All but Nodes without linearizable block until the root range answers.
type Members interface {
	// Nodes returns all records, those of removed nodes too: as last read by this
	// node, or read after the call.
	Nodes(ctx context.Context, linearizable bool) ([]*pontoonpb.NodeRecord, error)
	Add(ctx context.Context, peerURLs []string, learner bool) (*pontoonpb.NodeRecord, error)
	// Leave may return before the node is gone; it is no member any more.
	Leave(ctx context.Context, node proto.NodeID) error
	Update(ctx context.Context, node proto.NodeID, peerURLs []string) error
	Promote(ctx context.Context, node proto.NodeID) error
}
