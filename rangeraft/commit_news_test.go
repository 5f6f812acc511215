package rangeraft

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// A follower takes a commit index without writing it or answering, and answers
// as raft does whatever else an empty append may be: a probe, one that does
// not fit its log, one of another term.
func TestCommitNews(t *testing.T) {
	now := leaderlease.Nanos(0)
	s := still(t, true, &now)
	r := s.replica(3)
	now = now.Add(time.Minute)
	app := func(term, index, logTerm, commit uint64, entries ...*raftpb.Entry) (items int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		before := len(s.writer.queue)
		r.step(&raftpb.Message{Type: raftpb.MsgApp.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: &term,
			Index: &index, LogTerm: &logTerm, Commit: &commit, Entries: entries})
		r.ready()
		return len(s.writer.queue) - before
	}
	committed := func(want uint64) {
		t.Helper()
		if got := r.rn.BasicStatus().HardState.GetCommit(); got != want {
			t.Fatalf("commit index is %d, not %d", got, want)
		}
	}
	entry := func(index, term uint64) *raftpb.Entry { return &raftpb.Entry{Index: &index, Term: &term} }

	written := func() { // and raft told
		s.writer.write(s.writer.queue)
		s.writer.queue = nil
		r.process()
	}

	app(6, 10, 5, 10, entry(11, 6), entry(12, 6))
	written()
	if n := app(6, 12, 6, 11); n != 0 {
		t.Fatalf("a commit index made %d appends", n)
	}
	committed(11)
	if n := app(6, 12, 6, 11); n != 1 {
		t.Fatalf("a probe made %d appends and is not answered", n)
	}
	if n := app(6, 11, 6, 12); n != 1 {
		t.Fatalf("a commit index before the end of the log made %d appends", n)
	}
	committed(11) // nothing proves that entry 12 is the leader's
	app(6, 12, 7, 12)
	committed(11) // the leader's entry 12 is another one
	if n := app(7, 12, 6, 12); n != 1 {
		t.Fatalf("the first word of a new leader made %d appends", n)
	}
	committed(12)
}
