package rangeraft

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// A replica that a split is about to fill does not refuse the first append of
// its range, which would bring a raft snapshot; it does after a while, and any
// other append at once.
func TestFirstAppendAwaitsTheSplit(t *testing.T) {
	c := newCluster(t, 3, nil)
	s := c.nodes[c.ids[0]].live()
	const id = 77
	first := &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(firstTerm) + 1),
		Index: new(uint64(firstIndex)), LogTerm: new(uint64(firstTerm)),
	}
	wrapped := &pontoonpb.RaftMessage{RangeId: id, FromReplica: 2, ToReplica: 1}
	taken := func(m *raftpb.Message) bool { return s.receiver(c.ids[1], wrapped, m) != nil }
	if taken(first) || s.replica(id) == nil {
		t.Fatal("the first append is taken at once, or no replica waits for the split")
	}
	later := &raftpb.Message{Type: first.Type, From: first.From, To: first.To, Term: first.Term,
		Index: new(uint64(firstIndex) + 5), LogTerm: new(uint64(firstTerm) + 1)}
	beat := &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: first.From, To: first.To, Term: first.Term}
	if !taken(later) || !taken(beat) {
		t.Error("a message that no split will answer is dropped")
	}
	c.wait("the first append is taken when no split came", func() bool { return taken(first) })
	if r := s.replica(proto.UserRange); r == nil || r.awaitsSplit(first) {
		t.Error("a replica that has a descriptor waits for no split")
	}
}
