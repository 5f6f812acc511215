package evaluator

import (
	"fmt"
	"slices"

	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// txnRecord reads the record of a txn at its anchor; nil: aborted, forgotten or
// never begun (P31).
func (e *Evaluator) txnRecord(b *batch, anchor []byte, txn txnKey) (*pontoonpb.TxnRecord, error) {
	if !e.span.Contains(anchor) {
		return nil, e.mismatch()
	}
	for _, c := range b.commits {
		if keyOf(c.record.Txn) == txn {
			return nil, errLater // its number is not known yet
		}
	}
	value, err := e.record(pontoonpb.Space_SPACE_TXN, anchor, txn.bytes())
	if err != nil || value == nil {
		return nil, err
	}
	record := &pontoonpb.TxnRecord{}
	if err := record.UnmarshalVT(value); err != nil {
		return nil, fmt.Errorf("txn record: %w", err)
	}
	return record, nil
}

func txnEffect(kind pontoonpb.EffectKind, anchor []byte, txn txnKey, record *pontoonpb.TxnRecord) *pontoonpb.Effect {
	f := &pontoonpb.Effect{Kind: kind, Space: pontoonpb.Space_SPACE_TXN, Key: anchor, Suffix: txn.bytes()}
	if record != nil {
		f.Value = marshal(record)
	}
	return f
}

// evalCommit checks pending, takes one number and writes the commit record in
// one step (P29). The effects on this range and the end of its locks are in
// the same entry. Registrations are each range's own business: such effects
// are left out.
func (e *Evaluator) evalCommit(b *batch, op *pontoonpb.CommitOp) (*member, error) {
	txn := keyOf(op.Txn)
	record, err := e.txnRecord(b, op.AnchorKey, txn)
	if err != nil {
		return nil, err
	}
	reply := &pontoonpb.CommitReply{}
	m := &member{reply: &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Commit{Commit: reply}}}
	switch record.GetState() {
	case pontoonpb.TxnState_TXN_COMMITTED:
		reply.Revision = record.Revision
		return m, nil
	case pontoonpb.TxnState_TXN_NONE:
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_TXN_NOT_PENDING, "txn has no pending record")
	}
	rev := int64(0)
	if op.NeedsRevision {
		rev = b.placeholder()
	}
	commit := &pontoonpb.TxnRecord{
		Txn: op.Txn, State: pontoonpb.TxnState_TXN_COMMITTED, Revision: rev,
		Effects: stamped(op.Effects, rev), Participants: op.Participants,
	}
	own, alone := e.ownEffects(commit.Effects, nil, 0)
	if err := e.freeEffects(txn, own); err != nil {
		return nil, err
	}
	if alone && !e.drained(b) {
		return nil, errDrain
	}
	e.write(b, own...)
	e.releaseAll(b, e.locks.of(txn), true)
	late := &lateRecord{
		record: commit, reply: reply,
		effect: txnEffect(pontoonpb.EffectKind_EFFECT_LOCAL_PUT, op.AnchorKey, txn, commit),
	}
	e.write(b, late.effect)
	b.commits = append(b.commits, late)
	if op.NeedsRevision {
		b.numbers++
		b.needsAsk = true
	}
	b.alone = alone
	m.mutates = true
	return m, nil
}

// stamped copies effects; those on user keys get the txn's revision, wherever
// it stands in them.
func stamped(effects []*pontoonpb.Effect, rev int64) []*pontoonpb.Effect {
	out := make([]*pontoonpb.Effect, len(effects))
	for i, f := range effects {
		c := clone(f)
		if isUser(c) {
			if c.Rev = rev; etcdop.IsPlaceholder(c.CreateRevision) {
				c.CreateRevision = rev
			}
		}
		out[i] = c
	}
	return out
}

func clone(f *pontoonpb.Effect) *pontoonpb.Effect { return gproto.Clone(f).(*pontoonpb.Effect) }

func isUser(f *pontoonpb.Effect) bool {
	switch f.Kind {
	case pontoonpb.EffectKind_EFFECT_PUT, pontoonpb.EffectKind_EFFECT_DELETE, pontoonpb.EffectKind_EFFECT_DELETE_SPAN:
		return true
	}
	return false
}

// ownEffects returns the part of a txn's effects that falls into the range. With
// locks given, an effect counts only under one of them, and on user keys only if
// that lets the txn write at rev (P31). alone: there is a span deletion.
func (e *Evaluator) ownEffects(effects []*pontoonpb.Effect, locks []*held, rev int64) (own []*pontoonpb.Effect, alone bool) {
	for _, f := range effects {
		switch {
		case f.Kind == pontoonpb.EffectKind_EFFECT_DELETE_SPAN:
			span := effectSpan(f).Intersect(e.span)
			if span.Empty() || locks != nil && !covered(locks, span, rev) {
				continue
			}
			f = clone(f)
			f.Key, f.End = span.Start, span.End
			alone = true
		case !e.span.Contains(f.Key):
			continue
		case isUser(f):
			if locks != nil && !covered(locks, keys.Point(f.Key), rev) {
				continue
			}
		case f.Space != pontoonpb.Space_SPACE_SYS:
			continue
		case locks != nil && !slices.ContainsFunc(locks, func(h *held) bool { return h.span.Contains(f.Key) }):
			continue
		}
		own = append(own, f)
	}
	return own, alone
}

func covered(locks []*held, span proto.Span, rev int64) bool {
	for _, h := range locks {
		if h.covers(span, rev) {
			return true
		}
	}
	return false
}

// releaseAll removes locks of a txn. The commit of a revoke ends the lease's
// registration too (P37).
func (e *Evaluator) releaseAll(b *batch, locks []*held, committed bool) {
	for _, h := range locks {
		e.release(b, h, committed)
		if committed && h.mode() == pontoonpb.LockMode_LOCK_LEASE {
			e.unregister(b, h.lease())
		}
	}
}

// evalAbort removes a pending record and, in the same entry, the locks beside
// it (P29). A committed txn is reported and left alone.
func (e *Evaluator) evalAbort(b *batch, op *pontoonpb.AbortOp) (*member, error) {
	txn := keyOf(op.Txn)
	record, err := e.txnRecord(b, op.AnchorKey, txn)
	if err != nil {
		return nil, err
	}
	reply := &pontoonpb.AbortReply{}
	m := &member{reply: &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Abort{Abort: reply}}}
	switch record.GetState() {
	case pontoonpb.TxnState_TXN_COMMITTED:
		reply.Committed = record
	case pontoonpb.TxnState_TXN_PENDING:
		e.write(b, txnEffect(pontoonpb.EffectKind_EFFECT_LOCAL_DELETE, op.AnchorKey, txn, nil))
		e.releaseAll(b, e.locks.of(txn), false)
		m.mutates = true
	}
	return m, nil
}

// evalResolve removes the txn's locks that reach into within and, if it
// committed, writes the effects that fall under them (P31). A lock goes as a
// whole: who asks may know borders that are gone, and the effects of one lock
// number their subs in one go (P17). Without a lock nothing is done.
func (e *Evaluator) evalResolve(b *batch, within proto.Span, op *pontoonpb.ResolveOp) (*member, error) {
	if within.Empty() {
		return nil, refusef("resolve of an empty span")
	}
	var locks []*held
	for _, h := range e.locks.of(keyOf(op.Txn)) {
		if h.span.Overlaps(within) {
			locks = append(locks, h)
		}
	}
	m := &member{reply: &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Resolve{Resolve: &pontoonpb.ResolveReply{}}}}
	if len(locks) == 0 {
		return m, nil
	}
	if op.Commit {
		own, alone := e.ownEffects(stamped(op.Effects, op.Revision), locks, op.Revision)
		if alone && !e.drained(b) {
			return nil, errDrain
		}
		b.alone = alone
		e.write(b, own...)
	}
	e.releaseAll(b, locks, op.Commit)
	m.mutates = true
	return m, nil
}

// evalForget drops a commit record.
func (e *Evaluator) evalForget(b *batch, op *pontoonpb.ForgetOp) (*member, error) {
	txn := keyOf(op.Txn)
	record, err := e.txnRecord(b, op.AnchorKey, txn)
	if err != nil {
		return nil, err
	}
	m := &member{reply: &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Forget{Forget: &pontoonpb.ForgetReply{}}}}
	switch record.GetState() {
	case pontoonpb.TxnState_TXN_PENDING:
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "txn is pending")
	case pontoonpb.TxnState_TXN_COMMITTED:
		e.write(b, txnEffect(pontoonpb.EffectKind_EFFECT_LOCAL_DELETE, op.AnchorKey, txn, nil))
		m.mutates = true
	}
	return m, nil
}
