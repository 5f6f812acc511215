package txn

import (
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Call is one operation that the driver must send. The reply comes back to
// Handle with the same Seq.
type Call struct {
	Seq int
	Op  *pontoonpb.RangeOp
}

// Step is what the kernel wants next: calls, the ranges of some spans, a read
// revision, or nothing more (Outcome). With none set it waits for replies.
type Step struct {
	Calls       []Call
	Cover       []proto.Span // answer with Covered
	AskRevision bool         // answer with Revision
	Outcome     *Outcome
}

// Outcome is the end of one attempt.
type Outcome struct {
	Response  *pb.ResponseOp // of an operation that was answered
	Revision  proto.Revision // of the header; 0: a commit that took no number and read nothing
	Record    int64          // revision in the commit record
	Err       error          // final, for the client
	Again     bool           // release, then try again with a new txn id
	Wait      bool           // ... taking the locks in key order and waiting for each
	Committed bool           // the record is written; resolve and forget
	Settle    bool           // something may be held: abort at the anchor, then release
	Unknown   bool           // Settle decides whether it had committed
}

// intent is what an attempt is for.
type intent interface {
	// anchorOp completes the lock request of the anchor.
	anchorOp(*pontoonpb.LockOp)
	// extend returns the spans whose ranges must be locked beside the first
	// groups, known only once the anchor is locked.
	extend(anchor *pontoonpb.LockReply) ([]proto.Span, error)
	// further turns the ranges of those spans into groups.
	further(descs []*pontoonpb.Descriptor) []*group
	// decide evaluates over what was read under all locks.
	decide(gs []*group) decision
}

// decision is what an intent does under its locks.
type decision struct {
	err     error // refuse: nothing changes
	again   bool  // the locks do not fit: release and plan anew (P33)
	fetch   bool  // only counted so far: read the keys under the locks and decide again
	effects []*pontoonpb.Effect
	number  bool                              // a user key changes
	respond func(number int64) *pb.ResponseOp // number taken, or read revision + 1
}

type phase int

const (
	lockAnchor phase = iota
	covering
	lockOthers
	fetching
	asking // for the read revision of a txn that changes nothing
	committing
	inquiring // what became of the commit
	finished
)

// Kernel runs one attempt. It is a pure state machine: feed it what Step asks
// for, in any order of replies.
type Kernel struct {
	id     *pontoonpb.TxnID
	intent intent
	groups []*group // key order, the first is the anchor
	wait   bool

	phase    phase
	decision decision
	read     proto.Revision // of a txn that changes nothing
	split    bool           // the anchor's range was split: its other part is resolved like any range
	failed   *Outcome
	flying   map[int]*group
	seq      int
}

// newKernel plans an attempt over at least one group.
func newKernel(id *pontoonpb.TxnID, in intent, gs []*group, wait bool) *Kernel {
	return &Kernel{id: id, intent: in, groups: gs, wait: wait, flying: make(map[int]*group)}
}

func (k *Kernel) anchorKey() []byte { return k.groups[0].hull.Start }

// participants are all spans that the txn may have locked.
func (k *Kernel) participants() []*pontoonpb.Span {
	var out []*pontoonpb.Span
	for _, g := range k.groups {
		for _, l := range g.locks {
			out = append(out, l.Span)
		}
	}
	return out
}

// Start returns the first step: lock the anchor. It may wait for it, since it
// holds nothing yet.
func (k *Kernel) Start() Step { return k.lock(k.groups[:1]) }

func (k *Kernel) lock(gs []*group) Step {
	var s Step
	for _, g := range gs {
		op := &pontoonpb.LockOp{
			Txn: k.id, AnchorKey: k.anchorKey(), Locks: g.locks, Reads: g.reads, Wait: k.wait || g == k.groups[0],
		}
		if g == k.groups[0] {
			op.Anchor, op.Participants = true, k.participants()
			k.intent.anchorOp(op)
		}
		g.touched = true
		s.Calls = append(s.Calls, k.call(g, g.hull, &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Lock{Lock: op}}))
	}
	return s
}

func (k *Kernel) call(g *group, span proto.Span, op *pontoonpb.RangeOp) Call {
	k.seq++
	k.flying[k.seq] = g
	op.Span = span.Wire()
	return Call{Seq: k.seq, Op: op}
}

// Handle takes the reply to a call.
func (k *Kernel) Handle(seq int, reply *pontoonpb.RangeReply, err error) Step {
	g := k.flying[seq]
	delete(k.flying, seq)
	switch k.phase {
	case lockAnchor:
		return k.anchorLocked(g, reply.GetLock(), err)
	case lockOthers:
		return k.otherLocked(g, reply.GetLock(), err)
	case fetching:
		return k.fetched(g, reply.GetRead(), err)
	case committing:
		return k.committed(reply.GetCommit(), err)
	case inquiring:
		return k.inquired(reply.GetAbort(), err)
	}
	return Step{}
}

func (k *Kernel) anchorLocked(g *group, reply *pontoonpb.LockReply, err error) Step {
	if err = answered(reply != nil, err); err != nil {
		k.lockFailed(g, err)
		return k.finish(*k.failed)
	}
	g.reply = reply
	spans, err := k.intent.extend(reply)
	if err != nil {
		return k.refuse(err)
	}
	if len(spans) > 0 {
		k.phase = covering
		return Step{Cover: spans}
	}
	return k.lockRest()
}

// Covered takes the ranges of the spans that a step asked for.
func (k *Kernel) Covered(descs []*pontoonpb.Descriptor, err error) Step {
	if err != nil {
		return k.refuse(err)
	}
	k.groups = append(k.groups, k.intent.further(descs)...)
	return k.lockRest()
}

// lockRest locks what is beside the anchor: all at once, failing fast, or in
// key order, waiting for each (P35).
func (k *Kernel) lockRest() Step {
	k.phase = lockOthers
	rest := k.groups[1:]
	for len(rest) > 0 && rest[0].reply != nil {
		rest = rest[1:]
	}
	switch {
	case len(rest) == 0:
		return k.decide()
	case k.wait:
		return k.lock(rest[:1])
	}
	return k.lock(rest)
}

func (k *Kernel) otherLocked(g *group, reply *pontoonpb.LockReply, err error) Step {
	if err = answered(reply != nil, err); err != nil {
		k.lockFailed(g, err)
	} else {
		g.reply = reply
	}
	switch {
	case len(k.flying) > 0:
		return Step{} // release only when no request of ours can still take a lock
	case k.failed != nil:
		return k.finish(*k.failed)
	}
	return k.lockRest()
}

// lockFailed remembers the first final answer, or that the attempt may be
// repeated.
func (k *Kernel) lockFailed(g *group, err error) {
	var o Outcome
	switch code := codeOf(err); code {
	case pontoonpb.RangeErrorCode_LOCKED:
		o = Outcome{Again: true, Wait: true}
	case pontoonpb.RangeErrorCode_RANGE_MISMATCH, pontoonpb.RangeErrorCode_AMBIGUOUS,
		pontoonpb.RangeErrorCode_TXN_NOT_PENDING,
		pontoonpb.RangeErrorCode_BELOW_FLOOR: // the next attempt knows the floor, and refuses in the order of operations
		o = Outcome{Again: true, Wait: k.wait}
	default:
		o = Outcome{Err: err}
	}
	switch codeOf(err) {
	case pontoonpb.RangeErrorCode_LOCKED, pontoonpb.RangeErrorCode_RANGE_MISMATCH, pontoonpb.RangeErrorCode_NOT_LEADER,
		pontoonpb.RangeErrorCode_RANGE_NOT_FOUND, pontoonpb.RangeErrorCode_NOT_PROPOSED:
		g.touched = false // certainly not proposed; others may come from the reads under the locks
	}
	if k.failed == nil || k.failed.Again && !o.Again {
		k.failed = &o
	}
}

// decide evaluates under all locks.
func (k *Kernel) decide() Step {
	k.decision = k.intent.decide(k.groups)
	switch d := &k.decision; {
	case d.err != nil:
		// A refusal must be as true as an answer: the empty commit proves that
		// the locks were held while it was decided.
		k.phase = committing
		return Step{Calls: []Call{k.commit(k.groups[0].hull)}}
	case d.again:
		return k.finish(Outcome{Again: true, Wait: k.wait})
	case d.fetch:
		return k.fetch()
	case len(d.effects) == 0:
		k.phase = asking // the read point lies where all locks are held (P33)
		return Step{AskRevision: true}
	}
	k.phase = committing
	return Step{Calls: []Call{k.commit(k.groups[0].hull)}}
}

// fetch reads what the groups counted. Under the locks it does not change.
func (k *Kernel) fetch() Step {
	k.phase = fetching
	var s Step
	for _, g := range k.groups {
		for i, r := range g.reads {
			g.reads[i] = &pb.RangeRequest{Key: r.Key, RangeEnd: r.RangeEnd}
			if g.reply.Reads[i].Count == 0 {
				g.reply.Reads[i] = &pontoonpb.ReadReply{}
				continue
			}
			s.Calls = append(s.Calls, k.call(g, keys.UserRangeSpan(r.Key, r.RangeEnd), &pontoonpb.RangeOp{
				Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{Request: g.reads[i], Txn: k.id}},
			}))
		}
	}
	return s
}

func (k *Kernel) fetched(g *group, reply *pontoonpb.ReadReply, err error) Step {
	if err = answered(reply != nil, err); err != nil {
		k.failed = &Outcome{Err: err}
		if codeOf(err) == pontoonpb.RangeErrorCode_RANGE_MISMATCH {
			k.failed = &Outcome{Again: true, Wait: k.wait}
		}
	} else {
		g.reply.Reads[0] = reply // a deletion is one span in each range
	}
	switch {
	case len(k.flying) > 0:
		return Step{}
	case k.failed != nil:
		return k.finish(*k.failed)
	}
	return k.decide()
}

// Revision takes the read revision that a step asked for.
func (k *Kernel) Revision(rev proto.Revision, err error) Step {
	if err != nil {
		return k.refuse(err)
	}
	// The commit proves that nobody aborted the txn and took its locks before
	// the read revision was asked for.
	k.read, k.phase = rev, committing
	return Step{Calls: []Call{k.commit(k.groups[0].hull)}}
}

func (k *Kernel) commit(span proto.Span) Call {
	return k.call(k.groups[0], span, &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Commit{Commit: &pontoonpb.CommitOp{
		Txn: k.id, AnchorKey: k.anchorKey(), NeedsRevision: k.decision.number,
		Effects: copyEffects(k.decision.effects), Participants: k.participants(),
	}}})
}

func (k *Kernel) committed(reply *pontoonpb.CommitReply, err error) Step {
	err = answered(reply != nil, err)
	switch code := codeOf(err); {
	case err == nil:
		return k.done(reply.GetRevision())
	case code == pontoonpb.RangeErrorCode_RANGE_MISMATCH && !k.split:
		// The anchor's range was split between its locks. Nothing was
		// proposed; the record is found by its key alone.
		k.split = true
		return Step{Calls: []Call{k.commit(keys.Point(k.anchorKey()))}}
	case code == pontoonpb.RangeErrorCode_TXN_NOT_PENDING:
		return k.finish(Outcome{Again: true, Wait: k.wait}) // somebody aborted it
	case code == pontoonpb.RangeErrorCode_AMBIGUOUS || code == pontoonpb.RangeErrorCode_RANGE_ERROR_NONE:
		k.phase = inquiring // (P34)
		return Step{Calls: []Call{k.call(k.groups[0], keys.Point(k.anchorKey()), abortOp(k.id, k.anchorKey()))}}
	}
	return k.refuse(err) // certainly not proposed
}

// inquired: the anchor said what became of the commit. A missing record proves
// nothing: the leader of a blocked range may have carried the commit out and
// dropped the record meanwhile (P31, P32), so running the txn anew could do it
// twice. The client learns that its fate is unknown, as in etcd (P34).
func (k *Kernel) inquired(reply *pontoonpb.AbortReply, err error) Step {
	err = answered(reply != nil, err)
	switch {
	case err != nil:
		return k.finish(Outcome{Err: err, Unknown: true})
	case reply.GetCommitted() != nil:
		k.split = true // who knows what happened to the range meanwhile
		return k.done(reply.Committed.Revision)
	}
	return k.finish(Outcome{
		Err:     proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "etcdserver: request timed out"),
		Unknown: true,
	})
}

func (k *Kernel) done(revision int64) Step {
	k.phase = finished
	o := &Outcome{Committed: true, Record: revision, Revision: proto.Revision(revision)}
	number := revision
	if k.decision.err != nil {
		o.Err = k.decision.err
		return Step{Outcome: o}
	}
	if len(k.decision.effects) == 0 {
		o.Revision, number = k.read, int64(k.read)+1
	}
	o.Response = k.decision.respond(number)
	return Step{Outcome: o}
}

func (k *Kernel) refuse(err error) Step { return k.finish(Outcome{Err: err}) }

// finish ends the attempt; locks that may be held are released by the driver.
func (k *Kernel) finish(o Outcome) Step {
	k.phase = finished
	for _, g := range k.groups {
		o.Settle = o.Settle || g.touched
	}
	return Step{Outcome: &o}
}

// answered turns a reply of the wrong kind into an unknown fate.
func answered(ok bool, err error) error {
	if err == nil && !ok {
		return proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "reply does not answer the operation")
	}
	return err
}

// codeOf is the code of a RangeError, RANGE_ERROR_NONE for anything else.
func codeOf(err error) pontoonpb.RangeErrorCode {
	var re *proto.RangeError
	if errors.As(err, &re) {
		return re.Code
	}
	return pontoonpb.RangeErrorCode_RANGE_ERROR_NONE
}

func abortOp(id *pontoonpb.TxnID, anchor []byte) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Abort{Abort: &pontoonpb.AbortOp{Txn: id, AnchorKey: anchor}}}
}

// copyEffects copies what the anchor numbers in place, so that this side keeps
// its placeholders.
func copyEffects(effects []*pontoonpb.Effect) []*pontoonpb.Effect {
	out := make([]*pontoonpb.Effect, len(effects))
	for i, e := range effects {
		out[i] = &pontoonpb.Effect{
			Kind: e.Kind, Key: e.Key, End: e.End, Rev: e.Rev, Sub: e.Sub, CreateRevision: e.CreateRevision,
			Version: e.Version, Lease: e.Lease, Value: e.Value, PrevLease: e.PrevLease, Fresh: e.Fresh,
			Space: e.Space, Suffix: e.Suffix,
		}
	}
	return out
}
