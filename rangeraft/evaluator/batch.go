package evaluator

import (
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// batch is what is evaluated together: one entry, one ask. It goes through
// evaluated, (waiting for its numbers), proposed, applied; or it is undone.
type batch struct {
	id      uint64
	members []*member
	effects []*pontoonpb.Effect
	bytes   int
	floor   proto.Revision // of the cluster, as known when its evaluation began (P9)
	auth    uint64         // epoch, likewise
	split   *pontoonpb.Split
	merge   *pontoonpb.MergeStep
	change  *pontoonpb.ReplicaChange

	numbers  int64          // how many revisions it takes
	needsAsk bool           // some member shows a header or takes a number (P11)
	alone    bool           // barrier: a split, a merge step, other replicas, a span deletion (P15, P36)
	lowest   proto.Revision // lowest revision of an effect that is known; 0: none
	commits  []*lateRecord

	added, removed []*held // changes of the lock table

	closedBefore proto.Revision // what Closed was before it was proposed
	// observers are requests of later batches without an entry of their own;
	// they saw the state after this batch.
	observers []*member
}

// lateRecord is a commit record that can be written only when the number of
// its txn is known (P29).
type lateRecord struct {
	record *pontoonpb.TxnRecord
	effect *pontoonpb.Effect // the LOCAL_PUT of the record
	reply  *pontoonpb.CommitReply
}

// effectOverhead is a rough size of an effect without its byte fields.
const effectOverhead = 64

// write adds effects to the batch and shows them to later evaluations.
func (e *Evaluator) write(b *batch, effects ...*pontoonpb.Effect) {
	for _, f := range effects {
		b.effects = append(b.effects, f)
		b.bytes += effectOverhead + len(f.Key) + len(f.End) + len(f.Value) + len(f.Suffix)
		switch f.Kind {
		case pontoonpb.EffectKind_EFFECT_LOCAL_PUT, pontoonpb.EffectKind_EFFECT_LOCAL_DELETE:
			e.overlay.setRecord(b.id, f)
			continue
		case pontoonpb.EffectKind_EFFECT_PUT, pontoonpb.EffectKind_EFFECT_DELETE:
			e.overlay.setVersion(b.id, f)
		}
		if f.Rev > 0 && !etcdop.IsPlaceholder(f.Rev) {
			b.know(proto.Revision(f.Rev))
		}
	}
}

// know notes that the batch writes at rev.
func (b *batch) know(rev proto.Revision) {
	if b.lowest == 0 || rev < b.lowest {
		b.lowest = rev
	}
}

// placeholder is the revision of the next mutating request of the batch.
func (b *batch) placeholder() int64 { return etcdop.Placeholder + b.numbers }

// bind gives the batch its numbers, from first on.
func (e *Evaluator) bind(b *batch, first proto.Revision) {
	for _, m := range b.members {
		if m.result != nil {
			m.result.Bind(int64(first))
			m.reply.GetWrite().Revision = m.result.Revision
		}
	}
	etcdop.PatchEffects(b.effects, int64(first))
	for _, c := range b.commits {
		etcdop.PatchEffects(c.record.Effects, int64(first))
		if etcdop.IsPlaceholder(c.record.Revision) {
			c.record.Revision = int64(first) + c.record.Revision - etcdop.Placeholder
		}
		c.reply.Revision = c.record.Revision
		c.effect.Value = marshal(c.record)
		e.overlay.setRecord(b.id, c.effect)
	}
	if b.numbers > 0 {
		b.know(first)
		e.overlay.bind(b, int64(first))
	}
}

// propose sends a bound batch on its way. A batch without effects has no
// entry: its members have seen what the last batch in flight left, and are
// answered when that is applied (P11).
func (e *Evaluator) propose(b *batch) {
	if len(b.effects) == 0 && b.split == nil && b.merge == nil && b.change == nil {
		if n := len(e.inflight); n > 0 {
			last := e.inflight[n-1]
			last.observers = append(last.observers, b.members...)
			return
		}
		e.answerAll(b.members, true)
		return
	}
	e.send(b)
}

// send proposes the entry of a batch.
func (e *Evaluator) send(b *batch) {
	cmd := &pontoonpb.Command{
		Term: uint64(e.opts.Term), Generation: e.desc.Generation,
		Batch: b.id, Predecessor: e.lastProposed, // (P12)
		Effects: b.effects, Split: b.split, Merge: b.merge, Change: b.change,
	}
	if !b.alone && e.truncate != nil {
		cmd.TruncateIndex, cmd.TruncateTerm = uint64(e.truncate.index), uint64(e.truncate.term)
		e.truncate = nil
	}
	b.closedBefore = e.closed
	if c := max(e.closable(), b.mergeClosed()); c > e.closed || b.merge != nil {
		c = max(c, e.closed)
		e.closed = c
		cmd.Closed = int64(c)
	}
	e.lastProposed = b.id
	e.inflight = append(e.inflight, b)
	e.emit(Propose{Command: cmd})
}

func (e *Evaluator) answerAll(members []*member, checkLease bool) {
	for _, m := range members {
		e.answer(m.req, Answer{Reply: m.reply, CheckLease: checkLease, LockedReads: m.locked})
	}
}

// Applied says that the command of this term with the batch number is applied
// and visible in State. desc is the range's descriptor after it, nil if
// unchanged. Several may be reported before the next Drain, in order.
func (e *Evaluator) Applied(number uint64, desc *pontoonpb.Descriptor) {
	if e.failed != nil || !slices.ContainsFunc(e.inflight, func(b *batch) bool { return b.id == number }) {
		return
	}
	b := e.inflight[0]
	invariant(b.id == number, "batches are applied in the order of their proposals")
	e.inflight = e.inflight[1:]
	e.lastApplied = b.id
	e.overlay.applied(b, e.recent.remember)
	if b.alone { // it may have changed more than it names
		e.recent.forget()
	}
	for _, h := range b.added {
		h.applied = true
		h.askAt = e.now + e.opts.BlockedAfter
	}
	for _, h := range b.removed {
		e.dropLock(h)
	}
	if b.split != nil && desc != nil {
		b.members[0].reply.GetSplit().Left = desc
	}
	e.mergeApplied(b)
	if b.change != nil && len(b.members) > 0 {
		b.members[0].reply.GetChangeReplicas().Desc = desc
	}
	e.answerAll(b.members, false)
	e.answerAll(b.observers, true)
	e.wakeApplied()
	if desc != nil {
		e.SetDescriptor(desc)
	}
}

// Dropped says that the batch will never be applied: raft refused it, or apply
// ignored it. Every batch evaluated after it dies with it (P12); none of their
// requests has an effect, so all may be sent again.
func (e *Evaluator) Dropped(number uint64) {
	at := slices.IndexFunc(e.inflight, func(b *batch) bool { return b.id == number })
	if e.failed != nil || at < 0 {
		return
	}
	if b := e.pending; b != nil {
		e.pending = nil // the numbers of its ask are lost (P13)
		e.undo(b)
		e.requeueMembers(b.members)
	}
	dead := e.inflight[at:]
	e.leaveHeld = e.leaveHeld || dead[0].change != nil && len(dead[0].members) == 0
	for i := len(dead) - 1; i >= 0; i-- {
		e.undo(dead[i])
	}
	e.inflight = e.inflight[:at]
	e.lastProposed = e.lastApplied
	if at > 0 {
		e.lastProposed = e.inflight[at-1].id
	}
	// What the dead entries would have closed was never promised, and a lock
	// that they would have removed holds it back again (P18, P30).
	e.closed = dead[0].closedBefore
	refused := errorReply(proto.Errorf(pontoonpb.RangeErrorCode_NOT_PROPOSED, "proposal dropped"))
	for _, b := range dead {
		for _, m := range slices.Concat(b.members, b.observers) {
			e.answer(m.req, Answer{Reply: refused})
		}
	}
	e.wakeApplied()
}

// undo takes a batch back that was not applied and after which none is left.
func (e *Evaluator) undo(b *batch) {
	e.overlay.undo(b)
	for _, h := range b.removed {
		h.removedBy, h.committed = 0, false
	}
	for _, h := range b.added {
		e.dropLock(h)
	}
}
