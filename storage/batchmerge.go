package storage

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// never is the tombstone of a range that was merged away: its id does not come
// back.
const never = proto.ReplicaID(math.MaxUint64)

// Subsumes reports whether the range of old was merged away by the time of d:
// d is another range that holds old's first key, in a later generation. What
// follows a key through splits and merges are rising generations, and a range
// keeps its first key until it is merged (P46).
func Subsumes(d, old *pontoonpb.Descriptor) bool {
	return d.GetRangeId() != old.GetRangeId() && d.GetGeneration() > old.GetGeneration() &&
		proto.SpanOf(d.GetSpan()).Contains(old.GetSpan().GetStart())
}

// MergeRange makes the data of the right range a part of the range of merged:
// the right replica goes with its log, leaving a tombstone for good; data is
// addressed by key and stays where it is (P46). index is that of the entry.
func (b *Batch) MergeRange(merged *pontoonpb.Descriptor, right proto.RangeID, index proto.Index) error {
	c := b.change(right)
	if c.st.desc == nil {
		return rangeError(right, ErrRangeNotFound)
	}
	lower := enginekey.AppendRange(nil, right, 0)
	if err := b.b.DeleteRange(lower, enginekey.RangeEnd(right), nil); err != nil {
		return wrap("merge range", err)
	}
	c.forget()
	b.removes = true
	if err := b.b.Set(enginekey.AppendTombstone(nil, right), tombstoneValue(never), nil); err != nil {
		return wrap("merge range", err)
	}
	// How far dropping came on the left says nothing of the right.
	id := proto.RangeID(merged.GetRangeId())
	if err := b.setRange(id, enginekey.DropMark, binary.AppendUvarint(nil, uint64(index))); err != nil {
		return err
	}
	return b.SetDescriptor(merged)
}

// forget makes the change one to a log without a replica.
func (c *logChange) forget() {
	c.st = logState{applied: AppliedState{Floor: proto.NeverCompacted}}
	c.reset, c.appends = true, nil
}

func tombstoneValue(next proto.ReplicaID) []byte { return binary.AppendUvarint(nil, uint64(next)) }

// subsumed returns the ranges of this node that the snapshot's range took in.
func (s *StagedSnapshot) subsumed() []*Log {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	var logs []*Log
	for _, l := range s.e.logs {
		if d := l.snapshotState().desc; d != nil && Subsumes(s.desc, d) {
			logs = append(logs, l)
		}
	}
	return logs
}

// subsume writes the tables that remove what was merged into the range before
// the snapshot was taken: range-local records, and data that lies outside of
// the snapshot's span and belongs to nobody (P46).
func (s *StagedSnapshot) subsume(logs []*Log) ([]*logChange, error) {
	var changes []*logChange
	for _, l := range logs {
		st := l.snapshotState()
		if err := s.removalTables(l.id); err != nil {
			return nil, err
		}
		if err := s.leftoverTables(l.id, proto.SpanOf(st.desc.GetSpan()), proto.SpanOf(s.desc.GetSpan())); err != nil {
			return nil, err
		}
		c := &logChange{log: l}
		c.forget()
		changes = append(changes, c)
	}
	return changes, nil
}

func (s *StagedSnapshot) removalTables(id proto.RangeID) error {
	w, err := s.tables.create()
	if err != nil {
		return err
	}
	err = w.deleteRange(enginekey.AppendRange(nil, id, 0), enginekey.RangeEnd(id))
	if err = errors.Join(err, w.close()); err != nil {
		return err
	}
	if w, err = s.tables.create(); err != nil {
		return err
	}
	return errors.Join(w.set(enginekey.AppendTombstone(nil, id), tombstoneValue(never)), w.close())
}
