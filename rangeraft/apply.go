package rangeraft

import (
	"log/slog"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// applied is one entry of a batch that is about to become visible.
type applied struct {
	index   proto.Index
	cmd     *pontoonpb.Command // nil: an empty entry
	ignored bool
	events  []*pontoonpb.ChangeEvent
	desc    *pontoonpb.Descriptor // after the entry, nil if unchanged
	right   *pontoonpb.Descriptor // of a split
	merge   *mergeApplied         // of a step of a merge
	removed bool                  // this replica is not among those of desc
}

// apply applies committed entries in one unsynced batch; a split or a step of
// a merge ends a batch.
// Then it tells whoever waits for what became visible.
func (r *Replica) apply(entries []*raftpb.Entry) {
	began := time.Now()
	r.s.metrics.committed.Add(float64(len(entries)))
	defer func() { r.s.metrics.tookToApply(time.Since(began)) }()
	batch := r.s.opts.Engine.NewBatch()
	var done []applied
	drop := false
	for i, e := range entries {
		a, dropNow, err := r.applyEntry(batch, e)
		if err != nil {
			batch.Close()
			r.s.fault("apply an entry", err)
			return
		}
		drop = drop || dropNow
		done = append(done, a)
		if (a.right != nil || a.merge != nil) && i+1 < len(entries) {
			r.commitApplied(batch, done)
			batch, done = r.s.opts.Engine.NewBatch(), nil
		}
		if a.removed {
			r.commitApplied(batch, done)
			r.s.departed.note(a.desc)
			r.destroy(r.replicaID + 1)
			return
		}
	}
	r.commitApplied(batch, done)
	if drop {
		r.s.dropper.Request(r.id)
	}
}

// applyEntry adds one entry to the batch and to r.state.
func (r *Replica) applyEntry(batch *storage.Batch, e *raftpb.Entry) (applied, bool, error) {
	a := applied{index: proto.Index(e.GetIndex())}
	next := r.state
	next.Index, next.Term = a.index, proto.Term(e.GetTerm())
	var effects []*pontoonpb.Effect
	cmd, err := commandOf(e)
	if err != nil {
		return a, false, err
	}
	if cmd != nil {
		a.cmd = cmd
		r.size.applied.Add(int64(len(e.GetData())))
		a.ignored = !accepts(&r.state, r.desc.Load(), next.Term, cmd) // P12
		if !a.ignored {
			next.Batch, next.BatchTerm = cmd.Batch, next.Term
			next.Closed = max(next.Closed, proto.Revision(cmd.Closed))
			effects = cmd.Effects
		}
	}
	res, err := batch.Apply(r.id, &next, effects)
	if err != nil {
		return a, false, err
	}
	a.events = res.Events
	r.state = next
	r.counts.applied(a.index, effects, res.LiveDelta)
	if a.cmd != nil && !a.ignored {
		if err := r.applyTrigger(batch, &a); err != nil {
			return a, false, err
		}
	}
	return a, res.Drop, nil
}

// applyTrigger does what a command carries beside effects.
func (r *Replica) applyTrigger(batch *storage.Batch, a *applied) error {
	if a.cmd.Split != nil {
		if err := r.applySplit(batch, a); err != nil {
			return err
		}
	}
	if a.cmd.Change != nil {
		if err := r.applyChange(batch, a); err != nil {
			return err
		}
	}
	if a.cmd.Merge != nil {
		if err := r.applyMerge(batch, a); err != nil {
			return err
		}
	}
	if i := proto.Index(a.cmd.TruncateIndex); i > 0 {
		return batch.TruncateLog(r.id, min(i, r.state.Index), proto.Term(a.cmd.TruncateTerm))
	}
	return nil
}

// commitApplied makes a batch visible, then publishes: feed, closed revision,
// evaluator, neighbours, in this order.
func (r *Replica) commitApplied(batch *storage.Batch, done []applied) {
	if err := batch.Commit(false); err != nil {
		r.s.fault("commit an apply", err)
		return
	}
	r.state0.close() // what the evaluator reads next includes this
	r.s.metrics.applied.Add(float64(len(done)))
	for i := range done {
		r.hub.Publish(done[i].index, done[i].events)
		if d := done[i].desc; done[i].right != nil {
			r.splitDone(d, done[i].right)
		} else if d != nil && done[i].merge == nil {
			r.changeDone(d)
		}
		if done[i].merge != nil {
			r.mergeDone(&done[i])
		}
	}
	r.publish()
	r.advanceFeed()
	for i := range done {
		r.tellApplied(&done[i])
	}
	r.ownTermApplied()
}

// tellApplied tells the leader's side of one entry.
func (r *Replica) tellApplied(a *applied) {
	if a.cmd == nil {
		return
	}
	if a.ignored {
		r.s.metrics.ignored.Inc()
		r.log.Debug("command ignored", slog.Uint64("index", uint64(a.index)), slog.Uint64("term", a.cmd.Term))
	}
	if r.ev == nil || proto.Term(a.cmd.Term) != r.leaderTerm {
		return
	}
	if a.ignored {
		r.ev.Dropped(a.cmd.Batch)
		return
	}
	if a.merge != nil {
		r.ev.SetMerge(a.merge.record)
	}
	r.ev.Applied(a.cmd.Batch, a.desc)
	if a.merge != nil && a.desc != nil && r.lessor {
		r.tellLessor() // the lease records of the right side came
	}
	r.tellRecords(a.cmd.Effects)
}

// tellRecords tells lessor and sequencer of records that changed.
func (r *Replica) tellRecords(effects []*pontoonpb.Effect) {
	var puts []*pontoonpb.LeaseRecord
	var deletes []proto.LeaseID
	meta := false
	for _, ef := range effects {
		local := ef.Kind == pontoonpb.EffectKind_EFFECT_LOCAL_PUT || ef.Kind == pontoonpb.EffectKind_EFFECT_LOCAL_DELETE
		if !local || ef.Space != pontoonpb.Space_SPACE_SYS {
			continue
		}
		id, isLease := keys.LeaseOf(ef.Key)
		switch {
		case !isLease:
			meta = meta || keys.MetaSpan.Contains(ef.Key)
		case ef.Kind == pontoonpb.EffectKind_EFFECT_LOCAL_DELETE:
			deletes = append(deletes, id)
		default:
			rec := &pontoonpb.LeaseRecord{}
			if err := rec.UnmarshalVT(ef.Value); err != nil {
				r.s.fault("decode a lease record", err)
				return
			}
			puts = append(puts, rec)
		}
	}
	if r.lessor && len(puts)+len(deletes) > 0 {
		r.s.opts.Lessor.Applied(r.id, puts, deletes)
	}
	if meta && r.id == proto.RootRange {
		r.tellRootApplied()
	}
}
