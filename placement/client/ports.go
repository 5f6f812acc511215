package client

import (
	"context"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Local is the sequencer of the own node (placement/sequencer.Server).
type Local interface {
	// Leading reports whether it hands out revisions now. It does not block.
	Leading() bool
	// Serve answers one ask; it blocks until the answer may leave. Being
	// refused is an answer.
	Serve(ctx context.Context, ask *pontoonpb.SequenceAsk) (*pontoonpb.SequenceReply, error)
}

// Peers gives connections to other nodes.
type Peers interface {
	// Conn returns the shared connection to a node. It does not wait for the
	// connection to be up.
	Conn(node proto.NodeID) (*grpc.ClientConn, error)
}
