package evaluator

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Action is something that the driver does for the evaluator, in the order of
// Drain.
type Action interface{ action() }

// RequestID names a request or a read; the driver chooses it, unique among
// those not answered yet.
type RequestID uint64

// Ask asks the sequencer for Count numbers, 0 for a read revision only. The
// answer comes back by Granted with the same token. At most one is open.
type Ask struct {
	Token uint64
	Count int64
	// Floor is the compaction floor that the batch was evaluated under: what is
	// asked for is granted only if that is still the floor (P9).
	Floor proto.Revision
	// AuthEpoch is the auth epoch that it was evaluated under.
	AuthEpoch uint64
}

// Grant is the sequencer's answer to an Ask.
type Grant struct {
	First         proto.Revision // first of Count numbers in a row; 0 if Count was 0
	Read          proto.Revision // no smaller than any number granted before the ask
	EpochsChanged bool           // nothing granted, evaluate again under the new epochs (P9)
}

// Propose hands a command to raft. If raft refuses it, or apply ignores it,
// the driver calls Dropped(Command.Batch); when it is applied, Applied.
type Propose struct {
	Command *pontoonpb.Command
}

// Answer answers a request, exactly once for every Submit that was not
// cancelled.
type Answer struct {
	ID    RequestID
	Reply *pontoonpb.RangeReply
	// CheckLease: no entry of this term proves the answer, so that the driver
	// checks the leader lease (or makes a quorum round) first and answers
	// NOT_LEADER if it is gone (P11). An answer without the flag goes out at
	// once.
	CheckLease bool
	// LockedReads is set for a granted lock request: before answering, the
	// driver fills Reply.Lock.Reads from its Reads and Reply.Lock.LeaseKeys
	// from its LOCK_LEASE spans, over the latest applied state (P35, P37).
	LockedReads *pontoonpb.LockOp
}

// ReadReady says that a read admitted earlier may read now, or why not. The
// driver still checks the leader lease, after the read arrived (P20).
type ReadReady struct {
	ID  RequestID
	Err error
}

// NeedRegistration asks the lease's home to register span for the lease. The
// answer comes back by Registered with the same token.
type NeedRegistration struct {
	Token uint64
	Lease proto.LeaseID
	Span  proto.Span
}

// TxnBlocked says that locks of a txn were held past a deadline: ask the
// anchor, then resolve the txn's locks in Span with a ResolveOp (P32). It is
// repeated at every further deadline.
type TxnBlocked struct {
	Txn       *pontoonpb.TxnID
	AnchorKey []byte
	Span      proto.Span // covers every lock of the txn in this range
}

func (Ask) action()              {}
func (Propose) action()          {}
func (Answer) action()           {}
func (ReadReady) action()        {}
func (NeedRegistration) action() {}
func (TxnBlocked) action()       {}
