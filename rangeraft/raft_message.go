package rangeraft

import (
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	goproto "google.golang.org/protobuf/proto"
)

// Field numbers of raft's Message and Entry.
const (
	fieldType, fieldTo, fieldFrom, fieldTerm, fieldLogTerm, fieldIndex = 1, 2, 3, 4, 5, 6
	fieldEntries, fieldCommit                                          = 7, 8
	fieldReject, fieldRejectHint, fieldContext, fieldVote              = 10, 11, 12, 13

	entryType, entryTerm, entryIndex, entryData = 1, 2, 3, 4
)

// raftMessage is a Message with room for what it points to: decoded in
// general, every number of every message and entry is an allocation.
type raftMessage struct {
	raftpb.Message
	kind    raftpb.MessageType
	numbers [8]uint64
	used    int
	reject  bool
}

type raftEntry struct {
	raftpb.Entry
	kind        raftpb.EntryType
	term, index uint64
}

// decodeMessage decodes a message of raft, which keeps parts of b. What no
// frequent message has is left to the general decoder.
func decodeMessage(b []byte) (*raftpb.Message, error) {
	if m, ok := decodeFrequent(b); ok {
		return &m.Message, nil
	}
	m := &raftpb.Message{}
	return m, goproto.Unmarshal(b, m)
}

func decodeFrequent(b []byte) (*raftMessage, bool) {
	m := &raftMessage{}
	entries := make([]raftEntry, countEntries(b))
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, false
		}
		b = b[n:]
		switch typ {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 || !m.setNumber(num, v) {
				return nil, false
			}
			b = b[n:]
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			switch {
			case n < 0:
				return nil, false
			case num == fieldContext:
				m.Context = v
			case num == fieldEntries && decodeEntry(&entries[0], v):
				m.Entries = append(m.Entries, &entries[0].Entry)
				entries = entries[1:]
			default:
				return nil, false
			}
			b = b[n:]
		default:
			return nil, false
		}
	}
	return m, true
}

// countEntries stops at what is malformed; the decoding proper finds it again.
func countEntries(b []byte) (count int) {
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return count
		}
		if num == fieldEntries {
			count++
		}
		b = b[n:]
	}
	return count
}

// setNumber reports whether it knows the field.
func (m *raftMessage) setNumber(num protowire.Number, v uint64) bool {
	var field **uint64
	switch num {
	case fieldType:
		m.kind = raftpb.MessageType(v)
		m.Type = &m.kind
		return true
	case fieldReject:
		m.reject = v != 0
		m.Reject = &m.reject
		return true
	case fieldTo:
		field = &m.To
	case fieldFrom:
		field = &m.From
	case fieldTerm:
		field = &m.Term
	case fieldLogTerm:
		field = &m.LogTerm
	case fieldIndex:
		field = &m.Index
	case fieldCommit:
		field = &m.Commit
	case fieldRejectHint:
		field = &m.RejectHint
	case fieldVote:
		field = &m.Vote
	default:
		return false
	}
	if *field == nil {
		*field = &m.numbers[m.used]
		m.used++
	}
	**field = v
	return true
}

func decodeEntry(e *raftEntry, b []byte) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if typ == protowire.BytesType && num == entryData {
			if e.Data, n = protowire.ConsumeBytes(b); n < 0 {
				return false
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeVarint(b)
		if n < 0 || typ != protowire.VarintType {
			return false
		}
		b = b[n:]
		switch num {
		case entryType:
			e.kind = raftpb.EntryType(v)
			e.Type = &e.kind
		case entryTerm:
			e.term = v
			e.Term = &e.term
		case entryIndex:
			e.index = v
			e.Index = &e.index
		default:
			return false
		}
	}
	return true
}
