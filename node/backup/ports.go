package backup

import (
	"context"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage"
)

// Sequencer tells the current revision and compaction floor.
type Sequencer interface {
	// Current returns a read revision asked for after the call began, and the
	// floor that came with it. Blocks until the sequencer answers or ctx ends.
	Current(ctx context.Context) (rev, floor proto.Revision, err error)
}

// Ranges covers spans and sends operations to wherever a range is served. Both
// block until they succeed, ctx ends, or, for Send, the range refuses.
type Ranges interface {
	Cover(ctx context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error)
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Store pins views of local replicas.
type Store interface {
	// Open blocks until every part is closed at rev here, for a few seconds at
	// most. Refusals are typed (*proto.RangeError).
	Open(ctx context.Context, rev proto.Revision, parts []rangeraft.BackupPart) (View, error)
}

// View is a pinned view. Used by one goroutine; must be closed.
type View interface {
	// Floor is the highest floor of its parts.
	Floor() proto.Revision
	// Scan calls fn for what the parts retain under floor, by key, newest first.
	// The version is valid until fn returns.
	Scan(floor proto.Revision, fn func(ver *storage.Version, newest bool) error) error
	Close()
}

// Peers reaches other nodes. Does not block.
type Peers interface {
	Conn(id proto.NodeID) (*grpc.ClientConn, error)
}
