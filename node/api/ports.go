package api

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

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
	// Sizes returns what users' data takes here and the part that is live, bytes.
	Sizes() (total, inUse int64)
	// Defragment gives back the space of what was deleted. It takes long, and
	// goes on for a moment after ctx ended.
	Defragment(ctx context.Context) error
}

// Alarms are the cluster's alarms, and the downgrade that is noted beside them.
// What changes them blocks until the root range answers; refusals carry etcd's
// errors.
type Alarms interface {
	// Do lists, raises or clears, and returns what etcd's call answers with.
	Do(ctx context.Context, r *pb.AlarmRequest) ([]*pb.AlarmMember, error)
	// Known returns the alarms as last read. Does not block.
	Known() []*pb.AlarmMember
	// DowngradeTarget is the version that a downgrade is enabled for, as last
	// read; empty: none. Does not block.
	DowngradeTarget() string
	CheckDowngrade(ctx context.Context) error
	EnableDowngrade(ctx context.Context, target string) error
	CancelDowngrade(ctx context.Context) error
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
