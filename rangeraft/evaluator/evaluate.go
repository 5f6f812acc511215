package evaluator

import (
	"errors"
	"slices"

	"google.golang.org/grpc/status"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// Why a request is not evaluated now; the evaluation left no trace.
var (
	// errLater: it depends on what the batch leaves open; it heads the next.
	errLater = errors.New("evaluator: in the next batch")
	// errDrain: it is proposed alone, once nothing is in flight (P15, P36).
	errDrain = errors.New("evaluator: once nothing is in flight")
	// errInFlight: it reads history that is not applied yet.
	errInFlight = errors.New("evaluator: once what it reads is applied")
)

// errLocked: another txn's lock is in the way.
type errLocked struct{ by *held }

func (*errLocked) Error() string { return "evaluator: locked" }

// errRefused answers at once: the request alone decides, or nothing was
// looked at but this range's span.
type errRefused struct{ reason error }

func (e *errRefused) Error() string { return e.reason.Error() }

// verdict is what became of a request in nextBatch.
type verdict int

const (
	joined  verdict = iota // member of the batch
	away                   // answered, or it waits elsewhere
	ending                 // it waits for the next batch and ends this one
	closing                // member, and the batch takes no more
)

// nextBatch evaluates what waits, in order; nil if nothing can be evaluated.
func (e *Evaluator) nextBatch() *batch {
	b := &batch{id: e.lastBatch + 1, floor: e.opts.Numbers.Floor(), auth: e.opts.Numbers.AuthEpoch()}
	for len(b.members) < e.opts.MaxBatchRequests && b.bytes < e.opts.MaxBatchBytes {
		r := e.pop()
		if r == nil {
			break
		}
		v := e.evaluate(b, r)
		if v == ending {
			e.queue = slices.Insert(e.queue, 0, r)
		}
		if v == ending || v == closing {
			break
		}
	}
	if len(b.members) == 0 {
		return nil
	}
	e.lastBatch = b.id
	return b
}

func (e *Evaluator) evaluate(b *batch, r *request) verdict {
	m, err := e.dispatch(b, r)
	if err == nil {
		m.req, r.inBatch = r, true
		b.members = append(b.members, m)
		if b.alone {
			return closing
		}
		return joined
	}
	if !errors.Is(err, errUnlocked) && !errors.Is(err, errDrain) {
		e.stopWaiting(r)
	}
	var locked *errLocked
	var lease *etcdop.NeedLease
	var seen *etcdop.NeedSeen
	var refused *errRefused
	switch {
	case errors.Is(err, errLater), errors.Is(err, etcdop.ErrUndecided):
		invariant(len(b.members) > 0, "only an earlier request of the batch leaves something open")
		return ending
	case errors.Is(err, errDrain):
		r.alone = true
		return ending
	case errors.Is(err, errUnlocked):
		e.merging.waiting = r
	case errors.Is(err, errAside):
		e.merging.aside = append(e.merging.aside, r)
	case errors.Is(err, errInFlight):
		if len(e.inflight) == 0 {
			return ending // the batch itself writes what it reads
		}
		e.onBatch = append(e.onBatch, r)
	case errors.As(err, &locked):
		if op := r.op.GetLock(); op != nil && !op.Wait {
			e.refuse(r, &proto.RangeError{RangeError: &pontoonpb.RangeError{
				Code: pontoonpb.RangeErrorCode_LOCKED, Txn: locked.by.lock.Txn,
			}})
			return away
		}
		locked.by.wait(r)
	case errors.As(err, &lease):
		e.needLease(r, lease.Lease)
	case errors.As(err, &seen):
		if r.fresh {
			return e.observe(b, r, rpctypes.ErrGRPCFutureRev)
		}
		e.onSeen = append(e.onSeen, r)
	case errors.As(err, &refused):
		e.refuse(r, refused.reason)
	default:
		return e.observe(b, r, err)
	}
	return away
}

// observe makes an error the answer of a request that looked at the state: it
// goes out when what it saw is applied (P11).
func (e *Evaluator) observe(b *batch, r *request, err error) verdict {
	if re := (*proto.RangeError)(nil); !errors.As(err, &re) {
		if _, ok := status.FromError(err); ok {
			err = proto.Answer(err)
		}
	}
	r.inBatch = true
	b.members = append(b.members, &member{req: r, reply: errorReply(err)})
	return joined
}

// dispatch evaluates one request over the overlay. With an error nothing has
// changed.
func (e *Evaluator) dispatch(b *batch, r *request) (*member, error) {
	if !e.span.Covers(proto.SpanOf(r.op.Span)) {
		return nil, e.mismatch()
	}
	if e.Frozen() && r.op.GetMergeStep() == nil {
		return nil, &errRefused{ErrFrozen()} // P46
	}
	if c := r.op.GetAuthChecked(); c > 0 && c-1 < b.auth {
		return nil, &errRefused{proto.Answer(rpctypes.ErrGRPCAuthOldRevision)} // P9
	}
	if r.alone && !e.drained(b) {
		return nil, errDrain
	}
	switch op := r.op.GetOp().(type) {
	case *pontoonpb.RangeOp_Write:
		return e.evalWrite(b, r, op.Write)
	case *pontoonpb.RangeOp_Lock:
		if e.holdLocks(op.Lock.GetTxn()) {
			return nil, errAside // P46
		}
		return e.evalLock(b, op.Lock)
	case *pontoonpb.RangeOp_Commit:
		return e.evalCommit(b, op.Commit)
	case *pontoonpb.RangeOp_Abort:
		return e.evalAbort(b, op.Abort)
	case *pontoonpb.RangeOp_Resolve:
		return e.evalResolve(b, proto.SpanOf(r.op.Span), op.Resolve)
	case *pontoonpb.RangeOp_Forget:
		return e.evalForget(b, op.Forget)
	case *pontoonpb.RangeOp_SysWrite:
		return e.evalSysWrite(b, op.SysWrite)
	case *pontoonpb.RangeOp_Lease:
		return e.evalLease(b, op.Lease)
	case *pontoonpb.RangeOp_Split:
		return e.evalSplit(b, op.Split)
	case *pontoonpb.RangeOp_MergeStep:
		return e.evalMergeStep(b, r, op.MergeStep.GetStep())
	case *pontoonpb.RangeOp_ChangeReplicas:
		return e.evalChange(b, op.ChangeReplicas)
	case *pontoonpb.RangeOp_Compact:
		return e.evalCompact(b, op.Compact)
	}
	return nil, refusef("operation %T is not evaluated", r.op.GetOp())
}

// drained: nothing is in flight and nothing is in the batch.
func (e *Evaluator) drained(b *batch) bool { return len(e.inflight) == 0 && len(b.members) == 0 }

// mismatch refuses what does not lie in the range (P21).
func (e *Evaluator) mismatch() error { return &errRefused{proto.Mismatch(e.desc)} }

func refusef(format string, args ...any) error {
	return &errRefused{proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, format, args...)}
}

// invariant stops the process: going on would break a promise.
func invariant(ok bool, rule string) {
	if !ok {
		panic("evaluator: broken invariant: " + rule)
	}
}
