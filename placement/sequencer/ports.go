package sequencer

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Limits writes the limit record of the root range.
type Limits interface {
	// Persist replaces the limit prev by next and returns once that is applied
	// on the local leader. It blocks until then and must fail if the record
	// does not say prev. An error may leave the fate of the write open.
	Persist(ctx context.Context, prev, next proto.Revision) error
}

// Sender carries an operation to the leader of the range that holds its span.
type Sender interface {
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Confirm proves that the node still leads the root range in the term it was
// handed out for: the leader lease is valid now, or a quorum round that
// started after the call succeeded (P5). It may block; an error means that
// nothing taken before the call may be answered.
type Confirm func(ctx context.Context) error
