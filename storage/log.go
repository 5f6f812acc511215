package storage

import (
	"sync"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Log is the raft log of one range. It implements raft.Storage. It shows what
// batches have committed, not what they are about to. One goroutine at a time
// writes a range (through batches); readers are free.
type Log struct {
	e  *Engine
	id proto.RangeID

	mu   sync.RWMutex
	st   logState
	tail tail
}

var _ raft.Storage = (*Log)(nil)

// logState is what raft asks for often; a value, so that a batch can carry the
// next one until it commits.
type logState struct {
	truncated LogMark
	last      LogMark
	hs        *raftpb.HardState // never changed in place
	applied   AppliedState
	desc      *pontoonpb.Descriptor // never changed in place; nil: no replica
}

// hardState returns the hard state with a commit index that covers what was
// applied: applying needs no sync of its own, so the hard state that knows of
// the commit may be lost while the applied state survives.
func (s *logState) hardState() *raftpb.HardState {
	if s.hs == nil && s.applied.Index == 0 {
		return nil
	}
	return newHardState(max(s.hs.GetTerm(), uint64(s.applied.Term)), voteIn(s.hs, uint64(s.applied.Term)),
		max(s.hs.GetCommit(), uint64(s.applied.Index)))
}

// voteIn is the vote of hs unless its term is below floor.
func voteIn(hs *raftpb.HardState, floor uint64) uint64 {
	if hs.GetTerm() < floor {
		return 0
	}
	return hs.GetVote()
}

func newLog(e *Engine, id proto.RangeID) *Log {
	return &Log{e: e, id: id, st: logState{applied: AppliedState{Floor: proto.NeverCompacted}}}
}

func (l *Log) snapshotState() logState {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.st
}

// InitialState implements raft.Storage.
func (l *Log) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	s := l.snapshotState()
	return s.hardState(), ConfState(s.desc), nil
}

// Entries implements raft.Storage.
func (l *Log) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case lo <= uint64(l.st.truncated.Index):
		return nil, raft.ErrCompacted
	case hi > uint64(l.st.last.Index)+1:
		return nil, raft.ErrUnavailable
	case lo >= hi:
		return nil, nil
	case lo >= l.tail.first:
		return limited(l.tail.slice(lo, hi), maxSize), nil
	}
	return l.readLocked(lo, hi, maxSize)
}

// Term implements raft.Storage.
func (l *Log) Term(i uint64) (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case i == uint64(l.st.truncated.Index):
		return uint64(l.st.truncated.Term), nil
	case i < uint64(l.st.truncated.Index):
		return 0, raft.ErrCompacted
	case i > uint64(l.st.last.Index):
		return 0, raft.ErrUnavailable
	case i == uint64(l.st.last.Index):
		return uint64(l.st.last.Term), nil
	case i >= l.tail.first:
		return l.tail.at(i).GetTerm(), nil
	}
	ents, err := l.readLocked(i, i+1, 0)
	if err != nil {
		return 0, err
	}
	return ents[0].GetTerm(), nil
}

// LastIndex implements raft.Storage.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return uint64(l.st.last.Index), nil
}

// FirstIndex implements raft.Storage.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return uint64(l.st.truncated.Index) + 1, nil
}

// Snapshot implements raft.Storage: metadata only, of the applied state. The
// data is streamed from a View, whose own applied state then counts.
func (l *Log) Snapshot() (*raftpb.Snapshot, error) {
	s := l.snapshotState()
	index, term := uint64(s.applied.Index), uint64(s.applied.Term)
	return &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		ConfState: ConfState(s.desc), Index: &index, Term: &term,
	}}, nil
}

// Applied returns the applied state as of the last committed batch.
func (l *Log) Applied() AppliedState { return l.snapshotState().applied }

// Descriptor returns the applied descriptor, nil without a replica. It is
// shared: do not change it.
func (l *Log) Descriptor() *pontoonpb.Descriptor { return l.snapshotState().desc }
