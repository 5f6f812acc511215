package rangeraft

import (
	"context"
	"sync/atomic"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
)

// request is one operation on its way through a leader. It is finished once;
// the caller waits on done.
type request struct {
	op   *pontoonpb.RangeOp
	done chan *pontoonpb.RangeReply // buffered for the one reply

	// A gated request is not evaluated: it waits until a read of span at rev may
	// be served and the leadership is proven (P20).
	gate     bool
	noGate   bool // leadership proof only
	span     proto.Span
	rev      proto.Revision
	txn      *pontoonpb.TxnID
	finished atomic.Bool

	id          evaluator.RequestID // of the evaluator, once begun
	lockedReads *pontoonpb.LockOp   // to be read under the locks before the answer leaves
	proposed    bool
	objection   func() error // of the driver, asked before it is submitted; nil: none
}

func newRequest(op *pontoonpb.RangeOp) *request {
	return &request{op: op, done: make(chan *pontoonpb.RangeReply, 1), span: proto.SpanOf(op.Span)}
}

func (q *request) finish(reply *pontoonpb.RangeReply) {
	if q.finished.CompareAndSwap(false, true) {
		q.done <- reply
	}
}

func (q *request) refuse(err error) {
	q.finish(&pontoonpb.RangeReply{Error: proto.ToWire(err)})
}

// admitted ends a gated request: nil lets the caller read.
func (q *request) admitted(err error) {
	if err != nil {
		q.refuse(err)
		return
	}
	q.finish(&pontoonpb.RangeReply{})
}

func refuseAll(qs []*request, err error) {
	for _, q := range qs {
		q.refuse(err)
	}
}

// begin takes a request into the leader, under mu.
func (r *Replica) begin(q *request) {
	switch {
	case q.finished.Load():
	case r.gone:
		q.refuse(unavailable("replica is gone"))
	case !r.leading:
		r.wakeIfAlone() // somebody asks for it: out of its turn
		q.refuse(proto.NotLeader(proto.NodeID(r.leaderNode.Load())))
	case r.ev == nil:
		r.early = append(r.early, q) // (P1)
	case !r.span().Covers(q.span):
		q.refuse(proto.Mismatch(r.s.known(q.span)...)) // P21
	case q.noGate && !q.span.Empty() && r.ev.Frozen():
		q.refuse(evaluator.ErrFrozen()) // P46
	case q.noGate && !q.span.Empty() && r.ev.SplitsOff(q.span):
		q.refuse(evaluator.ErrSplitting()) // P15
	case q.noGate:
		r.load.countRead(q.span)
		r.confirm(q.admitted)
	case q.gate:
		r.load.countRead(q.span)
		r.nextID++
		q.id = r.nextID
		if r.ev.AdmitRead(q.id, q.span, q.rev, q.txn) {
			r.confirm(q.admitted)
			return
		}
		r.reads[q.id] = q
	default:
		r.wakeUp()
		if q.objection != nil {
			if err := q.objection(); err != nil {
				q.refuse(err)
				return
			}
		}
		r.load.countWrite(q.span)
		r.nextID++
		q.id = r.nextID
		r.requests[q.id] = q
		r.ev.Submit(q.id, q.op)
	}
}

// abandon takes back a request whose caller went away.
func (r *Replica) abandon(q *request) {
	if q.finished.Load() {
		return
	}
	if r.ev != nil && q.id != 0 && !r.ev.Cancel(q.id) {
		return // its answer comes
	}
	delete(r.reads, q.id)
	delete(r.requests, q.id)
	q.refuse(unavailable("the caller gave up"))
}

// run passes a request through the leader and waits.
func (r *Replica) run(ctx context.Context, q *request) *pontoonpb.RangeReply {
	r.submit(q)
	reply := r.await(ctx, q)
	if e := reply.Error; e.GetCode() == pontoonpb.RangeErrorCode_RANGE_MISMATCH {
		// A kernel knows its own range only (P21).
		return refusal(proto.Mismatch(r.s.known(q.span)...))
	}
	return reply
}

// await returns the reply of a request that was begun or submitted.
func (r *Replica) await(ctx context.Context, q *request) *pontoonpb.RangeReply {
	select {
	case reply := <-q.done:
		return reply
	case <-ctx.Done():
	case <-r.s.ctx.Done():
	}
	r.post(func() { r.abandon(q) })
	// The turn says whether it had an effect; only a stopped store has none.
	select {
	case reply := <-q.done:
		return reply
	case <-r.s.ctx.Done():
	case <-r.s.after(r.s.opts.electionTimeout()):
	}
	select {
	case reply := <-q.done:
		return reply
	default:
	}
	if q.gate || q.noGate {
		return refusal(unavailable("deadline"))
	}
	return refusal(proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "given up while under way"))
}

func refusal(err error) *pontoonpb.RangeReply {
	return &pontoonpb.RangeReply{Error: proto.ToWire(err)}
}
