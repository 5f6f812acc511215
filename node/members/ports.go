package members

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Records are the node records in the root range (placement/roster).
type Records interface {
	// Nodes returns all records by id, those of removed nodes too. It blocks
	// until the root range answers.
	Nodes(ctx context.Context) ([]*pontoonpb.NodeRecord, error)
	// Decide writes the record that fn makes of all records, provided that none
	// changed meanwhile; if one did, fn runs again. fn returns nil to leave all
	// as they are, and must not change what it is given. The record as written
	// is returned.
	Decide(ctx context.Context, fn func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error)) (*pontoonpb.NodeRecord, error)
}

// Ranges tells where replicas are.
type Ranges interface {
	// All returns the recorded descriptors of all ranges.
	All(ctx context.Context) ([]*pontoonpb.Descriptor, error)
}

// Observer tells which nodes are there.
type Observer interface {
	// Live reports whether a node answers; this one does. It does not block.
	Live(node proto.NodeID) bool
	// Steady reports whether it has done so for a while (HealthInterval).
	Steady(node proto.NodeID) bool
	// Held asks a node how many replicas it holds.
	Held(ctx context.Context, node proto.NodeID) (int64, error)
}
