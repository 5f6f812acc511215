package rangeraft

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	pproto "github.com/pontoon-kv/pontoon/proto"
)

// onlyCommits reports whether a MsgApp brings this follower nothing but a
// higher commit index: it is of the present leader, holds no entries and stands
// at the very end of the log, whose entries the leader hears of anyway from the
// appends that brought them. Such a message follows every commit.
//
// One without news is a probe and gets raft's answer, so a leader that repeats
// itself is never left without one.
func (r *Replica) onlyCommits(m *raftpb.Message) bool {
	if m.GetType() != raftpb.MsgApp || len(m.GetEntries()) > 0 || r.raftRole != raft.StateFollower ||
		pproto.Term(m.GetTerm()) != r.term || r.tail.Index == 0 ||
		pproto.Index(m.GetIndex()) != r.tail.Index || pproto.Term(m.GetLogTerm()) != r.tail.Term {
		return false
	}
	if r.rn.HasReady() {
		return false // the log may have moved on from tail
	}
	return m.GetCommit() > r.rn.BasicStatus().HardState.GetCommit()
}

// commitNews says the same as a heartbeat does. The answer to it has no
// context and is not sent.
func commitNews(m *raftpb.Message) *raftpb.Message {
	return &raftpb.Message{
		Type: raftpb.MsgHeartbeat.Enum(), To: m.To, From: m.From, Term: m.Term,
		Commit: new(min(m.GetCommit(), m.GetIndex())),
	}
}
