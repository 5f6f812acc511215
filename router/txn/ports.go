package txn

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// Sender reaches ranges. Send resends what is safe until ctx ends and returns
// *proto.RangeError; RANGE_MISMATCH asks the caller to cover anew.
type Sender interface {
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
	Cover(ctx context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error)
}

// Read is a read revision and the compaction floor that came with it.
type Read struct {
	Revision proto.Revision
	Floor    proto.Revision // proto.NeverCompacted if there is none
}

// Sequencer gives read revisions: no smaller than any number granted before
// the call began (S2). Blocks; fails with ctx, or with what ends the request
// because its caller's permissions were checked by older rules (P9).
type Sequencer interface {
	ReadRevision(ctx context.Context) (Read, error)
}

// LeaseHome registers a span at the home of a lease, so that a revoke finds
// the keys there (P37). found is false if there is no such lease. Blocks.
type LeaseHome interface {
	Register(ctx context.Context, lease proto.LeaseID, span proto.Span) (incarnation uint64, found bool, err error)
}

// Reader evaluates the compares of a txn at one new read revision. If the
// branch that they choose only reads, it is answered at that revision and resp
// is set; otherwise path is the chosen one.
type Reader interface {
	TryRead(ctx context.Context, op *pb.RequestOp) (resp *pb.ResponseOp, path etcdop.Path, err error)
}
