package transport

import (
	"context"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Peers knows how to reach the other nodes.
type Peers interface {
	// Conn returns the shared connection to a node. It does not block and does
	// not wait for the connection to be up.
	Conn(proto.NodeID) (*grpc.ClientConn, error)
	// Nodes returns the known nodes, with or without this one.
	Nodes() []proto.NodeID
}

// Handler is what the streams feed. Calls come from many goroutines.
type Handler interface {
	// RaftFrame takes a frame of the stream, which is a number that rises with
	// every new stream into this process. It must not block. The frame belongs
	// to the handler.
	RaftFrame(from proto.NodeID, stream uint64, frame *pontoonpb.RaftFrame)
	// RaftStreamEnded follows the last frame of a stream.
	RaftStreamEnded(from proto.NodeID, stream uint64)
	// ClosedUpdates returns the next updates of the side stream to a node, nil
	// for none. fresh: the stream is new and the node knows nothing (P19).
	ClosedUpdates(to proto.NodeID, fresh bool) []*pontoonpb.ClosedUpdate
	// Liveness returns what is to be said of sleeping ranges to a node, nil for
	// nothing. fresh as above (P48).
	Liveness(to proto.NodeID, fresh bool) *pontoonpb.Liveness
	// Do runs one operation for a peer. It may block until ctx is done.
	Do(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply
	// Snapshot takes a raft snapshot. next returns the records chunk by chunk
	// and io.EOF after the last one, with the checksum verified. A returned
	// error refuses the snapshot and is told to the sender.
	Snapshot(ctx context.Context, header *pontoonpb.SnapshotHeader, next func() ([]byte, error)) error
	// SnapshotHave returns how many bytes of a session's records are here, from a
	// stream that broke off.
	SnapshotHave(header *pontoonpb.SnapshotHeader) int64
	// OpenFeed subscribes to a range for a peer. The error is typed.
	OpenFeed(ctx context.Context, req *pontoonpb.FeedRequest) (Feed, error)
}

// Feed is one subscription.
type Feed interface {
	// Recv returns the next message; one with Ended is the last.
	Recv(ctx context.Context) (*pontoonpb.FeedMessage, error)
	// Close releases the subscription. It may be called twice.
	Close()
}
