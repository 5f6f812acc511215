package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"io"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// Ingest makes the staged snapshot this node's replica of the range: data,
// descriptor, applied and truncated state, hard state and an empty log, all or
// nothing, durable on return. hs is raft's hard state that goes with the
// snapshot, nil to keep the present one. Ranges that the snapshot's took in go
// in the same step (Subsumes); their replicas must have stopped. A span that
// overlaps any other range of this node is refused with ErrOverlap (P45), a
// removed replica with ErrTombstone. What was staged is gone afterwards, also after an error.
func (s *StagedSnapshot) Ingest(ctx context.Context, hs *raftpb.HardState, self proto.ReplicaID) error {
	if s.tables == nil {
		return errStaged
	}
	err := s.ingest(ctx, hs, self)
	err = errors.Join(err, s.tables.remove())
	s.tables = nil
	return err
}

func (s *StagedSnapshot) ingest(ctx context.Context, hs *raftpb.HardState, self proto.ReplicaID) error {
	id, span := proto.RangeID(s.desc.GetRangeId()), proto.SpanOf(s.desc.GetSpan())
	next, err := s.e.Tombstone(id)
	if err != nil {
		return err
	}
	if self < next {
		return rangeError(id, ErrTombstone)
	}
	gone := s.subsumed()
	if _, ok := s.e.overlapping(id, span, gone...); ok {
		return rangeError(id, ErrOverlap)
	}
	l := s.e.Log(id)
	old := l.snapshotState()
	c := &logChange{log: l, st: old, reset: true}
	c.st.hs = mergeHardState(old.hs, hs)
	c.st.applied, c.st.desc = s.applied, s.desc
	c.st.truncated = LogMark{Index: s.applied.Index, Term: s.applied.Term}
	c.st.last = c.st.truncated
	if err := s.stateTable(id, &c.st); err != nil {
		return wrap("ingest", err)
	}
	if old.desc != nil {
		if err := s.leftoverTables(id, proto.SpanOf(old.desc.GetSpan()), span); err != nil {
			return wrap("ingest", err)
		}
	}
	removed, err := s.subsume(gone)
	if err != nil {
		return wrap("ingest", err)
	}
	// No step of dropping may look at the old data and delete from the new: a
	// tombstone could go without what it hides (I4).
	s.e.replacing.Lock()
	defer s.e.replacing.Unlock()
	// The tables are durable at once; what the write-ahead log holds of before
	// must not be younger than them after a crash (P47).
	if err := s.e.Sync(); err != nil {
		return err
	}
	if err := s.e.db.Ingest(ctx, s.tables.paths); err != nil {
		return wrap("ingest", err)
	}
	c.publish()
	for _, r := range removed {
		r.publish()
	}
	return nil
}

// stateTable writes the range-local records, deleting all that were there.
func (s *StagedSnapshot) stateTable(id proto.RangeID, st *logState) error {
	desc, err := st.desc.MarshalVT()
	if err != nil {
		return err
	}
	w, err := s.tables.create()
	if err != nil {
		return err
	}
	err = errors.Join(
		w.deleteRange(enginekey.AppendRange(nil, id, 0), enginekey.RangeEnd(id)),
		w.set(enginekey.AppendRange(nil, id, enginekey.HardState), appendHardState(nil, st.hardState())),
		w.set(enginekey.AppendRange(nil, id, enginekey.Truncated), appendMark(nil, st.truncated)),
		w.set(enginekey.AppendRange(nil, id, enginekey.Applied), appendApplied(nil, &st.applied)),
		w.set(enginekey.AppendRange(nil, id, enginekey.Descriptor), desc),
		// The data is another replica's: what was dropped here does not count.
		w.set(enginekey.AppendRange(nil, id, enginekey.DropMark), binary.AppendUvarint(nil, uint64(st.applied.Index))),
	)
	return errors.Join(err, w.close())
}

// leftoverTables deletes what the replica held outside of its new span, unless
// another range of this node owns it.
func (s *StagedSnapshot) leftoverTables(id proto.RangeID, old, span proto.Span) error {
	parts := []proto.Span{
		old.Intersect(proto.Span{Start: old.Start, End: span.Start}),
		old.Intersect(proto.Span{Start: span.End, End: old.End}),
	}
	for _, part := range parts {
		for _, free := range s.e.unowned(id, part) {
			for _, t := range enginekey.Replicated {
				w, err := s.tables.create()
				if err != nil {
					return err
				}
				lower, upper := enginekey.Bounds(t, free)
				if err := errors.Join(w.deleteRange(lower, upper), w.close()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// ImportSnapshot stages and ingests a stream.
func (e *Engine) ImportSnapshot(ctx context.Context, r io.Reader, hs *raftpb.HardState, self proto.ReplicaID) error {
	s, err := e.StageSnapshot(ctx, r)
	if err != nil {
		return err
	}
	return s.Ingest(ctx, hs, self)
}
