package evaluator

import (
	"cmp"
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// request is one submitted operation on its way to an answer. It is in exactly
// one place: the queue, one of the waits (for a lock, a registration, a batch,
// a number), or a batch.
type request struct {
	id  RequestID
	seq uint64 // order of arrival, kept by requeue
	op  *pontoonpb.RangeOp

	lock    *held                  // waits for this lock to go
	gone    bool                   // cancelled or answered; lists skip it
	inBatch bool                   // evaluated: no longer to be cancelled
	alone   bool                   // turned out to need the range drained
	fresh   bool                   // a number was asked for after the request came
	noLease map[proto.LeaseID]bool // the home does not know these, asked after the request came
}

// member is a request inside a batch, with its answer as far as it is known.
type member struct {
	req    *request
	reply  *pontoonpb.RangeReply
	result *etcdop.Result    // a write: bound with the batch
	locked *pontoonpb.LockOp // a granted lock: its reads are done under it
	// mutates: it has effects in the entry, so that its fate is unknown when
	// the entry's is.
	mutates bool
}

// requeue puts requests back into the queue at the places that their arrival
// gives them.
func (e *Evaluator) requeue(rs ...*request) {
	before := len(e.queue)
	for _, r := range rs {
		if !r.gone {
			r.lock, r.inBatch = nil, false
			e.queue = append(e.queue, r)
		}
	}
	if len(e.queue) > before {
		slices.SortStableFunc(e.queue, func(a, b *request) int { return cmp.Compare(a.seq, b.seq) })
	}
}

func (e *Evaluator) requeueMembers(members []*member) {
	rs := make([]*request, len(members))
	for i, m := range members {
		rs[i] = m.req
	}
	e.requeue(rs...)
}

// pop takes the first request off the queue, nil if there is none.
func (e *Evaluator) pop() *request {
	for len(e.queue) > 0 {
		r := e.queue[0]
		e.queue = e.queue[1:]
		if !r.gone {
			return r
		}
	}
	return nil
}

// waitLock sets a request aside until the lock is gone.
func (h *held) wait(r *request) {
	r.lock = h
	h.waiters = append(h.waiters, r)
}

// answer emits the one answer of a request.
func (e *Evaluator) answer(r *request, a Answer) {
	if r.gone {
		return
	}
	r.gone = true
	delete(e.requests, r.id)
	a.ID = r.id
	e.emit(a)
}

// refuse answers a request that has no effect, with an error that says so.
func (e *Evaluator) refuse(r *request, err error) {
	e.answer(r, Answer{Reply: errorReply(err)})
}

func errorReply(err error) *pontoonpb.RangeReply {
	return &pontoonpb.RangeReply{Error: proto.ToWire(err)}
}

// Submit takes a request: write, lock, commit, abort, resolve, forget,
// sys_write, lease (grant, register, checkpoint), split, change of replicas or
// compact. It is answered exactly once. The operation must not be changed
// afterwards.
func (e *Evaluator) Submit(id RequestID, op *pontoonpb.RangeOp) {
	e.seq++
	r := &request{id: id, seq: e.seq, op: op}
	if e.failed != nil {
		e.refuse(r, e.failed)
		return
	}
	e.requests[id] = r
	e.queue = append(e.queue, r)
}

// Cancel takes a request or a waiting read back; true: it never had and never
// will have an effect or an answer. False: its answer comes, or came.
func (e *Evaluator) Cancel(id RequestID) bool {
	if i := slices.IndexFunc(e.reads, func(w *waitingRead) bool { return w.id == id }); i >= 0 {
		e.reads = slices.Delete(e.reads, i, i+1)
		return true
	}
	r := e.requests[id]
	if r == nil || r.inBatch {
		return false
	}
	r.gone = true
	delete(e.requests, id)
	e.stopWaiting(r)
	if h := r.lock; h != nil {
		h.waiters = slices.DeleteFunc(h.waiters, func(w *request) bool { return w == r })
	}
	return true
}
