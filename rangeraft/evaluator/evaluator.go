package evaluator

import (
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Evaluator is the kernel of one range's leader for one term. It is not safe
// for concurrent use. Inputs only take note; Drain evaluates and returns what
// is to be done, so that everything submitted between two Drains shares a
// batch.
type Evaluator struct {
	opts Options
}

// New starts a leadership over the applied state; it loads the lock table.
func New(opts Options) (*Evaluator, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Evaluator{opts: o}, nil
}

// Submit takes a request: write, lock, commit, abort, resolve, forget,
// sys_write, lease (grant, register, checkpoint), split or compact. It is
// answered exactly once.
func (e *Evaluator) Submit(id RequestID, op *pontoonpb.RangeOp) {}

// Cancel takes a request or a waiting read back; true: it never had and never
// will have an effect or an answer. False: its answer comes, or came.
func (e *Evaluator) Cancel(id RequestID) bool { return false }

// Truncate proposes to drop the raft log up to and including index.
func (e *Evaluator) Truncate(index proto.Index, term proto.Term) {}

// Granted hands in the answer to the Ask with the token. After an error the
// numbers are lost.
func (e *Evaluator) Granted(token uint64, g Grant, err error) {}

// Registered hands in the answer to NeedRegistration.
func (e *Evaluator) Registered(token uint64, incarnation uint64, found bool, err error) {}

// Applied says that the command of this term with the batch number is applied
// and visible in State. desc is the range's descriptor after it, nil if
// unchanged.
func (e *Evaluator) Applied(batch uint64, desc *pontoonpb.Descriptor) {}

// Dropped says that the batch will never be applied: raft refused it, or apply
// ignored it. Every batch evaluated after it dies with it (P12).
func (e *Evaluator) Dropped(batch uint64) {}

// SetDescriptor tells of a new descriptor by other means than a command of
// this evaluator, for example a replica change.
func (e *Evaluator) SetDescriptor(desc *pontoonpb.Descriptor) {}

// AdmitRead asks whether a read of span at rev may be served from the applied
// state now; false: ReadReady{id} follows. txn names the txn under whose locks
// the read is, nil for none; such a read does not wait for its own locks.
func (e *Evaluator) AdmitRead(id RequestID, span proto.Span, rev proto.Revision, txn *pontoonpb.TxnID) bool {
	return false
}

// Tick tells the time, the driver's monotonic clock.
func (e *Evaluator) Tick(now time.Duration) {}

// NodeSuspect reports the txns of a suspected coordinator at once (P32).
func (e *Evaluator) NodeSuspect(node proto.NodeID) {}

// IdleClosed closes the range outside an entry, at the returned revision;
// false: there is work in flight (P19). The driver checks its leader lease
// after the call and before it ships the revision.
func (e *Evaluator) IdleClosed() (proto.Revision, bool) { return 0, false }

// Closed is what the range has promised so far, in entries or outside.
func (e *Evaluator) Closed() proto.Revision { return 0 }

// Fail ends the leadership: every request is answered, with err if it was not
// proposed and AMBIGUOUS if it was; every read gets err. Drain once more, then
// drop the evaluator.
func (e *Evaluator) Fail(err error) {}

// Drain evaluates what waits and returns what is to be done, in order. Call it
// again after executing the actions until it returns none.
func (e *Evaluator) Drain() []Action { return nil }
