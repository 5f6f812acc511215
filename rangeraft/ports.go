package rangeraft

import (
	"context"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Grant is the sequencer's answer to an ask.
type Grant struct {
	First         proto.Revision // first of the numbers asked for; 0 if none were
	Read          proto.Revision // no smaller than any number granted before the ask
	Floor         proto.Revision // compaction floor
	EpochsChanged bool           // nothing granted: evaluate again under the new epochs (P9)
}

// Sequencer is the node's client of the sequencer.
type Sequencer interface {
	// Ask asks for n numbers, 0 for a read revision only, for what was evaluated
	// under the given compaction floor and auth epoch (P9). It does not block. done is called
	// exactly once, never from inside Ask; asks of one caller are answered in
	// order.
	Ask(n int64, floor proto.Revision, auth uint64, done func(Grant, error))
	// Seen is the highest number received from the sequencer in any way (P8).
	Seen() proto.Revision
	// Floor is the newest compaction floor heard of.
	Floor() proto.Revision
	// AuthEpoch is the newest auth epoch heard of.
	AuthEpoch() uint64
	// ObservePush raises Seen to a number that another node pushed (P26).
	ObservePush(rev proto.Revision)
}

// LeaseHome reaches the home range of a lease.
type LeaseHome interface {
	// Register makes the home record that span may hold keys of the lease. It
	// may block. found is false if there is no such lease.
	Register(ctx context.Context, lease proto.LeaseID, span proto.Span) (incarnation uint64, found bool, err error)
}

// Resolver carries operations to other ranges on behalf of a blocked leader
// (P32, P35).
type Resolver interface {
	// Send routes by op.Span.Start. It may block; a reply with an error set is
	// returned as a typed error too.
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Lessor keeps the times of the leases whose records lie in ranges led here.
type Lessor interface {
	// Gained starts a leadership over the records of a lease range. Again in the
	// same term: a split left it with this span; revocations there go on.
	Gained(id proto.RangeID, term proto.Term, span proto.Span, records []*pontoonpb.LeaseRecord)
	// Lost ends it. It may be called without Gained before.
	Lost(id proto.RangeID)
	// Applied tells of records written and removed by the leader's log.
	Applied(id proto.RangeID, puts []*pontoonpb.LeaseRecord, deletes []proto.LeaseID)
	// BeginRevoke holds keepalives back; an expiry (term > 0) is refused if the
	// term or the renewal count is another one (P39).
	BeginRevoke(lease proto.LeaseID, expireTerm, expireRenewals uint64) error
	// EndRevoke tells the outcome.
	EndRevoke(lease proto.LeaseID, revoked bool)
	// Serve answers keepalive, time to live and list, as far as it knows: the
	// leader lease is checked before the answer leaves. NOT_LEADER: nothing was
	// gained, or it was lost. It may block.
	Serve(ctx context.Context, id proto.RangeID, op *pontoonpb.LeaseOp) (*pontoonpb.LeaseReply, error)
}

// Epochs are what asks are checked under (P9).
type Epochs struct {
	Floor proto.Revision
	Auth  uint64
	Alarm uint64
}

// LeaseCheck proves that this node leads the range in the term it was made
// for: by its leader lease, or by a quorum round started after the call (P5).
// It may block.
type LeaseCheck func(ctx context.Context) error

// RootEvents drives the sequencer beside the root replica.
type RootEvents interface {
	// Gained follows the apply of an entry of the own term (P1). It must not
	// block.
	Gained(term proto.Term, confirm LeaseCheck, limit proto.Revision, epochs Epochs)
	// Lost ends the leadership of a term. It must not block.
	Lost(term proto.Term)
	// Applied tells what the log says now. It must not block.
	Applied(limit proto.Revision, epochs Epochs)
	// HandOver writes the exact next number to the log before a transfer (P6).
	// It may block.
	HandOver(ctx context.Context) error
	// Resume undoes HandOver after a transfer that failed.
	Resume()
}

// Directory hears of changed descriptors. Changed must not block.
type Directory interface {
	Changed(*pontoonpb.Descriptor)
}

// Room decides whether what clients write still fits into this node's store.
type Room interface {
	// Admit refuses a write of a client that is led here with an error that is
	// the client's answer. It may block only when it refuses.
	Admit(ctx context.Context, op *pontoonpb.RangeOp) error
}

// Peers reaches the other nodes.
type Peers interface {
	// Conn returns the shared connection to a node without blocking.
	Conn(proto.NodeID) (*grpc.ClientConn, error)
	// Nodes returns the known nodes, with or without this one.
	Nodes() []proto.NodeID
}

// Feed is one subscription to a range, local or remote.
type Feed interface {
	// Recv returns the next message; one with Ended is the last.
	Recv(ctx context.Context) (*pontoonpb.FeedMessage, error)
	// Close releases the subscription.
	Close()
}
