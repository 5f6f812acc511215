package evaluator

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Evaluator is the kernel of one range's leader for one term. It is not safe
// for concurrent use. Inputs only take note; Drain evaluates and returns what
// is to be done, so that everything submitted between two Drains shares a
// batch.
type Evaluator struct {
	opts Options
	desc *pontoonpb.Descriptor
	span proto.Span

	requests map[RequestID]*request // not answered
	seq      uint64
	queue    []*request // to be evaluated, in order of arrival
	onSeen   []*request // wait for a number asked for after they came
	onBatch  []*request // wait for something in flight to be applied

	overlay      *overlay
	recent       recent
	locks        *lockTable
	leases       *registrations
	merging      merging
	pending      *batch   // evaluated, waits for the numbers of ask
	inflight     []*batch // proposed, in order
	ask          *openAsk
	tokens       uint64
	lastBatch    uint64 // highest batch id given out
	lastProposed uint64 // predecessor of the next entry (P12)
	lastApplied  uint64
	truncate     *truncation
	leaveHeld    bool // leaving a joint configuration was refused: at the next Tick

	seen   proto.Revision // highest number that this leadership knows of
	closed proto.Revision
	now    time.Duration
	failed error
	held   bool // evaluates nothing more

	reads      []*waitingRead
	readsDirty bool
	actions    []Action
}

type openAsk struct {
	token uint64
	count int64
	// above is what was seen when the ask was sent. A grant at or below it
	// comes from a deposed sequencer (P13).
	above proto.Revision
}

type truncation struct {
	index proto.Index
	term  proto.Term
}

// New starts a leadership over the applied state; it loads the lock table.
func New(opts Options) (*Evaluator, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Evaluator{
		opts: o, desc: o.Descriptor, span: proto.SpanOf(o.Descriptor.Span),
		requests: map[RequestID]*request{}, recent: recent{budget: o.Recent},
		overlay: newOverlay(), locks: newLockTable(), leases: newRegistrations(),
		closed: o.Closed, now: o.Now,
	}
	if err := e.loadLocks(); err != nil {
		return nil, err
	}
	return e, e.loadMerge()
}

// Drain evaluates what waits and returns what is to be done, in order. Call it
// again after executing the actions until it returns none.
func (e *Evaluator) Drain() []Action {
	if e.failed == nil && !e.held {
		e.pump()
	}
	e.sweepReads()
	out := e.actions
	e.actions = nil
	return out
}

func (e *Evaluator) emit(a Action) { e.actions = append(e.actions, a) }

// pump evaluates batches until one waits for its numbers, a barrier is in
// flight, or too little waits.
func (e *Evaluator) pump() {
	for e.ask == nil && !e.barrierInFlight() && !e.leaving() && !e.gathering() {
		b := e.nextBatch()
		if b == nil {
			break
		}
		if b.needsAsk {
			e.pending = b
			e.openAsk(b.numbers, b.floor, b.auth)
			return
		}
		e.bind(b, 0)
		e.propose(b)
	}
	if e.ask == nil && len(e.onSeen) > 0 {
		e.openAsk(0, e.opts.Numbers.Floor(), e.opts.Numbers.AuthEpoch())
	}
	if e.truncate != nil && !e.Frozen() && e.pending == nil && !e.barrierInFlight() {
		e.lastBatch++
		e.send(&batch{id: e.lastBatch})
	}
}

// gathering: something is in flight and what waits is not worth an entry yet.
func (e *Evaluator) gathering() bool {
	return len(e.inflight) > 0 && len(e.queue) < e.opts.PipelineAt
}

// barrierInFlight: from proposing a split, a span deletion or other replicas
// until its fate is known nothing is evaluated (P15, P36).
func (e *Evaluator) barrierInFlight() bool {
	n := len(e.inflight)
	return n > 0 && e.inflight[n-1].alone
}

// seenNow is a lower bound of every number that will be granted from now on.
func (e *Evaluator) seenNow() proto.Revision {
	return max(e.seen, e.closed, e.opts.Numbers.Seen())
}

func (e *Evaluator) openAsk(count int64, floor proto.Revision, auth uint64) {
	e.tokens++
	e.ask = &openAsk{token: e.tokens, count: count, above: e.seenNow()}
	e.emit(Ask{Token: e.tokens, Count: count, Floor: floor, AuthEpoch: auth})
}

// Granted hands in the answer to the Ask with the token. After an error the
// numbers are lost.
func (e *Evaluator) Granted(token uint64, g Grant, err error) {
	if e.failed != nil || e.ask == nil || e.ask.token != token {
		return
	}
	ask, b := e.ask, e.pending
	e.ask, e.pending = nil, nil
	defer e.askAnswered(token, b)
	switch {
	case err != nil:
		e.abandon(b, err)
		return
	case g.EpochsChanged:
		// Answers could differ under the new floor and epochs (P9).
		if b != nil {
			e.undo(b)
			e.requeueMembers(b.members)
		}
		return
	case ask.count > 0 && g.First <= ask.above, ask.count == 0 && g.Read < ask.above:
		if e.pending = b; b != nil { // P13
			e.openAsk(b.numbers, b.floor, b.auth)
		}
		return
	}
	e.seen = max(e.seen, g.Read, g.First+proto.Revision(ask.count)-1)
	e.freshSeen()
	if b == nil {
		return // its batch died, the numbers are lost (P10)
	}
	first := g.First
	if ask.count == 0 {
		first = g.Read + 1 // headers show the number before it (P11)
	}
	e.bind(b, first)
	e.propose(b)
}

// abandon takes a batch back whose ask failed. What needs the number is
// refused, the rest is evaluated again.
func (e *Evaluator) abandon(b *batch, err error) {
	refused := proto.Errorf(pontoonpb.RangeErrorCode_NOT_PROPOSED, "ask for revisions: %v", err)
	for _, r := range e.onSeen {
		e.refuse(r, refused)
	}
	e.onSeen = nil
	if b == nil {
		return
	}
	e.undo(b)
	for _, m := range b.members {
		if m.reply.GetWrite() != nil || m.reply.GetCommit() != nil {
			e.refuse(m.req, refused)
		}
	}
	e.requeueMembers(b.members)
}

// freshSeen wakes those who wanted a number asked for after they came. All of
// them came before the ask: while one is open nothing is evaluated.
func (e *Evaluator) freshSeen() {
	for _, r := range e.onSeen {
		r.fresh = true
	}
	e.requeue(e.onSeen...)
	e.onSeen = nil
}

// wakeApplied evaluates again what waited for something in flight.
func (e *Evaluator) wakeApplied() {
	e.requeue(e.onBatch...)
	e.onBatch = nil
	e.readsDirty = true
}

// Truncate proposes to drop the raft log up to and including index, with the
// next entry or in one of its own. If that is dropped, so is the truncation.
func (e *Evaluator) Truncate(index proto.Index, term proto.Term) {
	e.truncate = &truncation{index: index, term: term}
}

// SetDescriptor tells of a new applied descriptor.
func (e *Evaluator) SetDescriptor(desc *pontoonpb.Descriptor) {
	span := proto.SpanOf(desc.Span)
	e.desc = desc
	if span.Covers(e.span) && e.span.Covers(span) {
		return
	}
	if b := e.pending; b != nil {
		e.pending = nil
		e.undo(b)
		e.requeueMembers(b.members)
	}
	e.span = span
	e.narrow()
}

// userSpan is the part of the range that holds etcd keys.
func (e *Evaluator) userSpan() proto.Span { return e.span.Intersect(keys.UserSpan) }

// Tick tells the time, the driver's monotonic clock.
func (e *Evaluator) Tick(now time.Duration) {
	e.now, e.leaveHeld = now, false
	e.reportBlocked(func(h *held) bool { return now >= h.askAt })
}

// Fail ends the leadership: every request is answered, with err if it has no
// effect and AMBIGUOUS if its entry may still be committed; every read gets
// err. Drain once more, then drop the evaluator.
func (e *Evaluator) Fail(err error) {
	if e.failed != nil {
		return
	}
	e.failed = err
	e.recent.forget()
	lost := errorReply(proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "leadership lost"))
	for _, b := range e.inflight {
		for _, m := range b.members {
			if m.mutates {
				e.answer(m.req, Answer{Reply: lost})
			} else {
				e.refuse(m.req, err)
			}
		}
		for _, m := range b.observers {
			e.refuse(m.req, err)
		}
	}
	rest := slices.SortedFunc(maps.Values(e.requests), func(a, b *request) int { return cmp.Compare(a.seq, b.seq) })
	for _, r := range rest {
		e.refuse(r, err)
	}
	for _, w := range e.reads {
		e.emit(ReadReady{ID: w.id, Err: err})
	}
	e.reads = nil
}
