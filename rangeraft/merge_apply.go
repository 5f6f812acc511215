package rangeraft

import (
	"fmt"
	"log/slog"

	goproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
	"github.com/pontoon-kv/pontoon/storage"
)

// mergedDescriptor is what the left range becomes: newer than both.
func mergedDescriptor(left, right *pontoonpb.Descriptor) *pontoonpb.Descriptor {
	d := goproto.CloneOf(left)
	d.Span.End = right.Span.End
	d.Generation = max(left.Generation, right.Generation) + 1
	return d
}

// loadMerge reads the merge that the range remembers from the engine.
func (r *Replica) loadMerge() error {
	r.merge.Store(nil)
	d := r.desc.Load()
	if d == nil {
		return nil
	}
	v, err := r.s.opts.Engine.NewView()
	if err != nil {
		return err
	}
	defer v.Close()
	key, suffix := evaluator.MergeRecordKey(proto.SpanOf(d.Span))
	value, ok, err := v.GetLocal(pontoonpb.Space_SPACE_MERGE, key, suffix)
	if err != nil || !ok {
		return err
	}
	record := &pontoonpb.MergeRecord{}
	if err := record.UnmarshalVT(value); err != nil {
		return err
	}
	r.merge.Store(record)
	return nil
}

// merging reports whether the range remembers a merge: it is neither split nor
// moved nor put to sleep.
func (r *Replica) merging() bool { return r.merge.Load() != nil }

// applyMerge applies one step (P46). What the range remembers is a record, so
// that it outlives leaders and restarts and comes with a raft snapshot.
func (r *Replica) applyMerge(batch *storage.Batch, a *applied) error {
	step := a.cmd.Merge
	key, suffix := evaluator.MergeRecordKey(r.span())
	var effects []*pontoonpb.Effect
	a.merge = &mergeApplied{record: r.merge.Load()}
	switch step.Kind {
	case pontoonpb.MergeStep_BEGIN, pontoonpb.MergeStep_FREEZE:
		a.merge.record = &pontoonpb.MergeRecord{Step: step, Index: uint64(a.index)}
		put, err := mergePut(key, suffix, a.merge.record)
		if err != nil {
			return err
		}
		effects = append(effects, put)
	case pontoonpb.MergeStep_ABORT, pontoonpb.MergeStep_UNFREEZE:
		a.merge.record = nil
		effects = append(effects, mergeDelete(key, suffix))
	case pontoonpb.MergeStep_FORGET:
		effects = append(effects, mergeDelete(evaluator.MergedMarkKey(step)))
	case pontoonpb.MergeStep_TRIGGER:
		return r.applyMergeTrigger(batch, a)
	}
	next := r.state
	_, err := batch.Apply(r.id, &next, effects)
	return err
}

// mergeApplied is what an applied step leads to.
type mergeApplied struct {
	record *pontoonpb.MergeRecord // remembered from now on; nil: none
	right  *Replica               // triggered: what was here of the right range, if it ran
}

func mergePut(key, suffix []byte, record *pontoonpb.MergeRecord) (*pontoonpb.Effect, error) {
	value, err := record.MarshalVT()
	return &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Space: pontoonpb.Space_SPACE_MERGE,
		Key: key, Suffix: suffix, Value: value}, err
}

func mergeDelete(key, suffix []byte) *pontoonpb.Effect {
	return &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_DELETE, Space: pontoonpb.Space_SPACE_MERGE,
		Key: key, Suffix: suffix}
}

// applyMergeTrigger takes the right range in. Its replica here applied FREEZE,
// durably, before the trigger was proposed; nothing that may have come after
// changed anything.
func (r *Replica) applyMergeTrigger(batch *storage.Batch, a *applied) error {
	step := a.cmd.Merge
	if !goproto.Equal(r.merge.Load().GetStep().GetId(), step.Id) {
		return fmt.Errorf("trigger of a merge that is not remembered: %v", step.Id)
	}
	right := proto.RangeID(step.Right.GetRangeId())
	merged := mergedDescriptor(r.desc.Load(), step.Right)
	gone := r.s.retireSubsumed(right, merged)
	st := r.s.opts.Engine.Log(right).Applied()
	if st.Index < proto.Index(step.FrozenIndex) {
		return fmt.Errorf("range %d is merged at index %d, here it is at %d", right, step.FrozenIndex, st.Index)
	}
	next := r.state
	next.Closed = max(next.Closed, st.Closed, proto.Revision(step.RightClosed))
	next.Floor = max(next.Floor, st.Floor)
	next.LiveKeys = storage.LiveKeysUnknown
	if own, other := r.counts.now(), rightCount(gone, st); own >= 0 && other >= 0 {
		next.LiveKeys = own + other
	}
	record, suffix := evaluator.MergeRecordKey(r.span())
	frozen, frozenSuffix := evaluator.MergeRecordKey(proto.SpanOf(step.Right.Span))
	markKey, markSuffix := evaluator.MergedMarkKey(step)
	mark, err := mergePut(markKey, markSuffix, &pontoonpb.MergeRecord{Step: &pontoonpb.MergeStep{Kind: step.Kind, Id: step.Id}})
	if err != nil {
		return err
	}
	effects := []*pontoonpb.Effect{mergeDelete(record, suffix), mergeDelete(frozen, frozenSuffix), mark}
	if _, err := batch.Apply(r.id, &next, effects); err != nil {
		return err
	}
	if err := batch.MergeRange(merged, right, a.index); err != nil {
		return err
	}
	r.state = next
	// Until the wider descriptor shows nobody may take the sum for the left
	// side's count (P42), or the left floor for the right side's (P41).
	r.counts.reset(a.index, storage.LiveKeysUnknown)
	a.desc, a.merge = merged, &mergeApplied{right: gone}
	return nil
}

// rightCount is the live count of the right range, whose replica may know it
// better than its last entry did.
func rightCount(gone *Replica, st storage.AppliedState) int64 {
	if gone == nil {
		return st.LiveKeys
	}
	return gone.counts.now()
}

// retireSubsumed ends the replica of a range that another one takes in, once
// all that it has under way is written. Nothing makes one again until the taking
// in is visible. The locks of neighbours are taken from left to right.
func (s *Store) retireSubsumed(id proto.RangeID, by *pontoonpb.Descriptor) *Replica {
	s.mu.Lock()
	old := s.replicas[id]
	s.dropLocked(id)
	s.splitting[id] = nil
	s.mu.Unlock()
	if old == nil {
		return nil
	}
	old.end(proto.Mismatch(by))
	s.writer.flush()
	return old
}

// subsumedDone follows when it is visible; from now on the tombstone says it.
func (s *Store) subsumedDone(id proto.RangeID) {
	s.mu.Lock()
	delete(s.splitting, id)
	s.mu.Unlock()
	s.closing.forget(id)
}

// mergeDone follows a step that became visible.
func (r *Replica) mergeDone(a *applied) {
	r.merge.Store(a.merge.record)
	step := a.cmd.Merge
	r.log.Info("merge", slog.String("step", step.Kind.String()), slog.Uint64("left", step.GetId().GetLeftRangeId()),
		slog.Uint64("right", step.GetId().GetRightRangeId()))
	if step.Kind != pontoonpb.MergeStep_TRIGGER {
		return
	}
	r.setDescriptor(a.desc)
	r.counts.reset(a.index, r.state.LiveKeys)
	r.s.subsumedDone(proto.RangeID(step.Right.GetRangeId()))
	r.hub.Widen(proto.SpanOf(a.desc.Span), a.desc.Generation)
	if n := a.merge.right; n != nil {
		r.size.absorb(&n.size)
	}
	r.post(r.recount)
	r.s.dropper.Request(r.id)
	if r.leading {
		r.tellDirectory(a.desc)
	}
}

// subsume ends the replicas that a raft snapshot takes in: their merges lie in
// the part of the log that it stands for. The ingest removes what they have. It
// goes from left to right: one that is just taking in its right neighbour must
// have done so before that one is ended from here.
func (r *Replica) subsume(desc *pontoonpb.Descriptor) {
	for found := true; found; { // one that is ended may have split just before
		found = false
		for _, d := range r.s.known(proto.SpanOf(desc.Span)) {
			if storage.Subsumes(desc, d) {
				found = true
				id := proto.RangeID(d.RangeId)
				r.subsuming = append(r.subsuming, id)
				r.s.retireSubsumed(id, desc)
			}
		}
	}
}

// subsumed follows the ingest.
func (r *Replica) subsumed() {
	for _, id := range r.subsuming {
		r.s.subsumedDone(id)
	}
	r.subsuming = nil
}
