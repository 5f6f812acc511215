package roster

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Sender carries an operation to the leader of the range that holds its span;
// operations on the meta span go to the root range. It blocks until there is
// an answer or ctx ends.
type Sender interface {
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}
