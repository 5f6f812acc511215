package router

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router/txn"
)

// Transport carries one operation to one node and brings the reply. Blocks
// until the reply, ctx or a broken connection. Failures of the operation are in
// the reply; an error that is not a *proto.RangeError means that the fate of
// the operation is unknown. The operation is not modified and may be retained
// only until Call returns.
type Transport interface {
	Call(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Directory finds the descriptor of the range that holds an internal key. May
// block and may be stale. It is asked only for keys that the cache and the
// bootstrap descriptors do not know.
type Directory interface {
	Lookup(ctx context.Context, key []byte) (*pontoonpb.Descriptor, error)
}

// Read is a read revision and the compaction floor that came with it.
type Read = txn.Read

// Sequencer gives read revisions: no smaller than any number granted before
// the call began (S2). Blocks; fails only with ctx.
type Sequencer = txn.Sequencer

// LeaseHome registers a span at the home of a lease.
type LeaseHome = txn.LeaseHome

// Replicas tells how far the replicas on this node can serve a span: the
// minimum of their closed revisions, and whether they cover the whole span.
// Does not block.
type Replicas interface {
	Closed(span proto.Span) (closed proto.Revision, covered bool)
	// PushClosed asks the leaders of all ranges to close at rev if they have
	// nothing in flight, so that Closed gets there soon.
	PushClosed(rev proto.Revision)
}

// Answers bounds the memory of large answers. The bytes of an answer belong to the
// request of ctx, until its answer was sent or it failed. Does not block.
type Answers interface {
	// Grow adds to the answer; refused with etcd's error for too many requests.
	Grow(ctx context.Context, bytes int64) error
	// Restart forgets what was gathered: the request reads again.
	Restart(ctx context.Context)
}

// HeaderSource fills cluster_id, member_id and raft_term of a response header.
// Does not block and leaves the revision alone.
type HeaderSource interface {
	FillHeader(h *pb.ResponseHeader)
}
