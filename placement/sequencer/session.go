package sequencer

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	// keptReplies is how many replies of one client a repeat can still get. A
	// client has at most two asks in flight.
	keptReplies = 8
	// keptBoots is how many processes of one node are told apart: the running
	// one, and one whose last messages are still on their way.
	keptBoots = 2
)

// session is what the kernel remembers of one process: its newest sequence and
// the replies that a repeat gets again (P7). It dies with the term.
type session struct {
	boot    uint64
	last    uint64 // highest sequence taken in
	waiting int    // asks of it that wait for the limit
	replies [keptReplies]*pontoonpb.SequenceReply
}

type sessions map[proto.NodeID][]*session

// of returns the session of a process, newest first per node.
func (s sessions) of(node proto.NodeID, boot uint64) *session {
	list := s[node]
	for _, have := range list {
		if have.boot == boot {
			return have
		}
	}
	fresh := &session{boot: boot}
	list = append([]*session{fresh}, list...)
	if len(list) > keptBoots {
		list = list[:keptBoots]
	}
	s[node] = list
	return fresh
}

// repeat returns the reply given before to a sequence.
func (s *session) repeat(sequence uint64) (*pontoonpb.SequenceReply, bool) {
	r := s.replies[sequence%keptReplies]
	if r == nil || r.Sequence != sequence {
		return nil, false
	}
	return r, true
}

func (s *session) keep(r *pontoonpb.SequenceReply) {
	s.replies[r.Sequence%keptReplies] = r
}
