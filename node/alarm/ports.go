package alarm

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Sender carries an operation on the meta span to the root range's leader.
type Sender interface {
	// Send may block until ctx ends. A reply's error is returned typed.
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Epochs tells what alarm epoch is in force.
type Epochs interface {
	// AlarmEpoch is the newest epoch heard of. Does not block.
	AlarmEpoch() uint64
	// Confirm returns once a reply came that was asked for after the call began:
	// AlarmEpoch is then no older than that.
	Confirm(ctx context.Context) error
}

// Room tells whether this node's store may take in more.
type Room interface {
	// Full reports whether the store would exceed its quota with cost more
	// bytes. Does not block.
	Full(cost int64) bool
}
