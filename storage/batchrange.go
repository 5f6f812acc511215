package storage

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// SetDescriptor stores the range's descriptor. Data is addressed by key, so a
// changed span moves nothing.
func (b *Batch) SetDescriptor(d *pontoonpb.Descriptor) error {
	id := proto.RangeID(d.GetRangeId())
	v, err := d.MarshalVT()
	if err != nil {
		return rangeError(id, fmt.Errorf("storage: descriptor: %w", err))
	}
	b.change(id).st.desc = cloneDescriptor(d)
	return b.setRange(id, enginekey.Descriptor, v)
}

// CreateRange makes a replica of this node: at bootstrap, and of the right
// side at the apply of a split. A hard state that the range has here already,
// from votes before its split was applied, keeps its term and vote (P45).
// ErrRangeExists and ErrTombstone refuse.
func (b *Batch) CreateRange(s RangeState, self proto.ReplicaID) error {
	id := s.ID()
	next, err := b.e.Tombstone(id)
	if err != nil {
		return err
	}
	if self < next {
		return rangeError(id, ErrTombstone)
	}
	c := b.change(id)
	if c.st.desc != nil {
		return rangeError(id, ErrRangeExists)
	}
	hs := mergeHardState(c.st.hs, s.HardState)
	c.st = logState{truncated: s.Truncated, last: s.Truncated, hs: hs, applied: s.Applied}
	c.reset = true
	lower, upper := enginekey.LogBounds(id, 0)
	if err := b.b.DeleteRange(lower, upper, nil); err != nil {
		return wrap("create range", err)
	}
	if err := b.setRange(id, enginekey.HardState, appendHardState(nil, hs)); err != nil {
		return err
	}
	if err := b.setRange(id, enginekey.Truncated, appendMark(nil, s.Truncated)); err != nil {
		return err
	}
	if err := b.setRange(id, enginekey.Applied, appendApplied(nil, &s.Applied)); err != nil {
		return err
	}
	return b.SetDescriptor(s.Descriptor)
}

// mergeHardState raises made to what the replica has promised already.
func mergeHardState(kept, made *raftpb.HardState) *raftpb.HardState {
	term, vote := made.GetTerm(), made.GetVote()
	if kept.GetTerm() > term || kept.GetTerm() == term && kept.GetVote() != 0 {
		term, vote = kept.GetTerm(), kept.GetVote()
	}
	return newHardState(term, vote, max(kept.GetCommit(), made.GetCommit()))
}

// ClearSpan removes all replicated data of a span that no replica of this node
// holds any more.
func (b *Batch) ClearSpan(span proto.Span) error {
	for _, t := range enginekey.Replicated {
		lower, upper := enginekey.Bounds(t, span)
		if err := b.b.DeleteRange(lower, upper, nil); err != nil {
			return wrap("clear span", err)
		}
	}
	return nil
}

// RemoveRange removes the replica with its data, leaving a tombstone: replica
// ids below next never come back to this node.
func (b *Batch) RemoveRange(id proto.RangeID, next proto.ReplicaID) error {
	c := b.change(id)
	if c.st.desc != nil {
		if err := b.ClearSpan(proto.SpanOf(c.st.desc.GetSpan())); err != nil {
			return err
		}
	}
	lower := enginekey.AppendRange(nil, id, 0)
	if err := b.b.DeleteRange(lower, enginekey.RangeEnd(id), nil); err != nil {
		return wrap("remove range", err)
	}
	c.forget()
	b.removes = true
	key := enginekey.AppendTombstone(nil, id)
	return wrap("remove range", b.b.Set(key, tombstoneValue(next), nil))
}
