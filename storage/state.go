package storage

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// LiveKeysUnknown says that nobody has counted the live keys yet (P42).
const LiveKeysUnknown int64 = -1

// AppliedState is what a replica's data has become by applying its log. It is
// written in the same batch as the data.
type AppliedState struct {
	Index     proto.Index
	Term      proto.Term
	Batch     uint64     // last applied batch (P12) ...
	BatchTerm proto.Term // ... and the term that numbered it
	Closed    proto.Revision
	Floor     proto.Revision // proto.NeverCompacted until the first compaction
	LiveKeys  int64          // user keys live at the latest revision; LiveKeysUnknown
}

// LogMark is a position in a range's log.
type LogMark struct {
	Index proto.Index
	Term  proto.Term
}

// RangeState is all that a replica has on disk beside its data and its log
// entries.
type RangeState struct {
	Descriptor *pontoonpb.Descriptor
	HardState  *raftpb.HardState // nil: none
	Truncated  LogMark           // the entry before the first of the log
	Applied    AppliedState
}

// ID returns the range's id.
func (s *RangeState) ID() proto.RangeID { return proto.RangeID(s.Descriptor.GetRangeId()) }

// Span returns the range's span.
func (s *RangeState) Span() proto.Span { return proto.SpanOf(s.Descriptor.GetSpan()) }

const stateFormat = 1

func appendApplied(dst []byte, s *AppliedState) []byte {
	dst = append(dst, stateFormat)
	dst = binary.AppendUvarint(dst, uint64(s.Index))
	dst = binary.AppendUvarint(dst, uint64(s.Term))
	dst = binary.AppendUvarint(dst, s.Batch)
	dst = binary.AppendUvarint(dst, uint64(s.BatchTerm))
	dst = binary.AppendVarint(dst, int64(s.Closed))
	dst = binary.AppendVarint(dst, int64(s.Floor))
	return binary.AppendVarint(dst, s.LiveKeys)
}

func decodeApplied(b []byte) (s AppliedState, err error) {
	r := varints{b: b}
	if f := r.byte(); r.err == nil && f != stateFormat {
		return s, fmt.Errorf("applied state of format %d", f)
	}
	s.Index = proto.Index(r.uint())
	s.Term = proto.Term(r.uint())
	s.Batch = r.uint()
	s.BatchTerm = proto.Term(r.uint())
	s.Closed = proto.Revision(r.int())
	s.Floor = proto.Revision(r.int())
	s.LiveKeys = r.int()
	return s, r.done()
}

func appendMark(dst []byte, m LogMark) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.Index))
	return binary.AppendUvarint(dst, uint64(m.Term))
}

func decodeMark(b []byte) (m LogMark, err error) {
	r := varints{b: b}
	m.Index = proto.Index(r.uint())
	m.Term = proto.Term(r.uint())
	return m, r.done()
}

func appendHardState(dst []byte, hs *raftpb.HardState) []byte {
	dst = binary.AppendUvarint(dst, hs.GetTerm())
	dst = binary.AppendUvarint(dst, hs.GetVote())
	return binary.AppendUvarint(dst, hs.GetCommit())
}

func decodeHardState(b []byte) (*raftpb.HardState, error) {
	r := varints{b: b}
	term, vote, commit := r.uint(), r.uint(), r.uint()
	return newHardState(term, vote, commit), r.done()
}

func newHardState(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}

// A log entry's value is its type, its term and its data; the index is in the
// engine key.
func entryLen(e *raftpb.Entry) int { return 1 + uvarintLen(e.GetTerm()) + len(e.GetData()) }

func appendEntry(dst []byte, e *raftpb.Entry) []byte {
	dst = append(dst, byte(e.GetType()))
	dst = binary.AppendUvarint(dst, e.GetTerm())
	return append(dst, e.GetData()...)
}

// decodeEntry copies what it keeps.
func decodeEntry(index uint64, b []byte) (*raftpb.Entry, error) {
	r := varints{b: b}
	typ, term := raftpb.EntryType(r.byte()), r.uint()
	if r.err != nil {
		return nil, r.err
	}
	if _, known := raftpb.EntryType_name[int32(typ)]; !known {
		return nil, fmt.Errorf("entry of unknown type %d", typ)
	}
	e := &raftpb.Entry{Type: &typ, Term: &term, Index: &index}
	if len(r.b) > 0 {
		e.Data = append([]byte(nil), r.b...)
	}
	return e, nil
}

func uvarintLen(n uint64) int {
	l := 1
	for n >= 0x80 {
		n >>= 7
		l++
	}
	return l
}

// ConfState returns raft's view of a descriptor's replicas. It is joint while
// one of them votes in one of two configurations only.
func ConfState(d *pontoonpb.Descriptor) *raftpb.ConfState {
	cs := &raftpb.ConfState{}
	joint := false
	for _, r := range d.GetReplicas() {
		id := r.GetReplicaId()
		switch r.GetRole() {
		case pontoonpb.ReplicaRole_REPLICA_LEARNER:
			cs.Learners = append(cs.Learners, id)
		case pontoonpb.ReplicaRole_REPLICA_INCOMING:
			joint = true
			cs.Voters = append(cs.Voters, id)
		case pontoonpb.ReplicaRole_REPLICA_OUTGOING:
			joint = true
			cs.VotersOutgoing = append(cs.VotersOutgoing, id)
			cs.LearnersNext = append(cs.LearnersNext, id)
		default:
			cs.Voters = append(cs.Voters, id)
			cs.VotersOutgoing = append(cs.VotersOutgoing, id)
		}
	}
	if !joint {
		cs.VotersOutgoing = nil
	}
	return raftpb.EnsureConfState(cs)
}
