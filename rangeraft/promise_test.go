package rangeraft

import (
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// still is a store that nobody starts, with a clock that the test moves.
func still(t *testing.T, fresh bool, now *leaderlease.Nanos) *Store {
	e, err := storage.Open(storage.Options{Dir: "data", FS: storage.NewMemFS()})
	if err != nil {
		t.Fatal(err)
	}
	d := &pontoonpb.Descriptor{RangeId: 3, Span: keys.UserSpan.Wire(), Generation: 1, NextReplicaId: 4}
	for i := range uint64(3) {
		d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: i + 1, ReplicaId: i + 1})
	}
	if err := Bootstrap(e, 1, []*pontoonpb.Descriptor{d}, nil); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, ids: []proto.NodeID{1, 2, 3}, cut: map[[2]proto.NodeID]bool{{1, 2}: true, {1, 3}: true}}
	peers := &testNode{c: c, id: 1, conns: map[proto.NodeID]*grpc.ClientConn{}}
	s, err := Open(Options{NodeID: 1, Engine: e, Sequencer: newSeqClient(&counter{last: 1}), Peers: peers,
		Fresh: fresh, Now: func() leaderlease.Nanos { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		for _, conn := range peers.conns {
			conn.Close()
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func vote(typ raftpb.MessageType, term uint64, ctx string) *raftpb.Message {
	m := &raftpb.Message{Type: typ.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: &term,
		Index: new(uint64(10)), LogTerm: new(uint64(5))}
	if ctx != "" {
		m.Context = []byte(ctx)
	}
	return m
}

// asked reports whether a vote request reached raft: it has something to say.
func asked(r *Replica, m *raftpb.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step(m)
	had := r.rn.HasReady()
	for r.rn.HasReady() {
		r.rn.Ready()
	}
	return had
}

// P3: a restarted replica takes no vote request for one election timeout of
// real time, except at the old leader's word.
func TestRestartedReplicaDoesNotVote_P3(t *testing.T) {
	now := leaderlease.Nanos(0)
	r := still(t, false, &now).replica(3)
	now = now.Add(999 * time.Millisecond)
	if asked(r, vote(raftpb.MsgPreVote, 6, "")) || asked(r, vote(raftpb.MsgVote, 6, "")) {
		t.Fatal("voted within an election timeout of a restart")
	}
	if !asked(r, vote(raftpb.MsgVote, 6, campaignTransfer)) {
		t.Fatal("a transfer was refused")
	}
	now = now.Add(time.Millisecond)
	if !asked(r, vote(raftpb.MsgPreVote, 7, "")) {
		t.Fatal("still mute after the election timeout")
	}
	fresh := still(t, true, &now).replica(3)
	if !asked(fresh, vote(raftpb.MsgPreVote, 6, "")) {
		t.Fatal("a new cluster waits for nothing")
	}
}

// P3: a replica that hears its leader neither votes nor campaigns, however
// many ticks come at once.
func TestHeartbeatBindsFollower_P3(t *testing.T) {
	now := leaderlease.Nanos(0)
	r := still(t, true, &now).replica(3)
	asked(r, &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(2)), To: new(uint64(1)),
		Term: new(uint64(6)), Commit: new(uint64(10)), Context: leaderlease.ID(1).Bytes()})
	if asked(r, vote(raftpb.MsgPreVote, 7, "")) {
		t.Fatal("voted right after a heartbeat")
	}
	r.mu.Lock()
	for range 100 {
		r.onTick()
	}
	campaigns := r.rn.HasReady()
	r.mu.Unlock()
	if campaigns {
		t.Fatal("campaigned right after a heartbeat")
	}
	now = now.Add(time.Second)
	r.mu.Lock()
	for range 20 {
		r.onTick()
	}
	campaigns = r.rn.HasReady()
	r.mu.Unlock()
	if !campaigns {
		t.Fatal("mute for longer than promised")
	}
}

// The response to a heartbeat never reaches raft with our id in it: raft would
// take it for a position of its own read index.
func TestHeartbeatResponseLosesItsContext(t *testing.T) {
	now := leaderlease.Nanos(0)
	r := still(t, true, &now).replica(3)
	m := &raftpb.Message{Type: raftpb.MsgHeartbeatResp.Enum(), From: new(uint64(2)), To: new(uint64(1)),
		Term: new(uint64(5)), Context: leaderlease.ID(1 << 60).Bytes()}
	asked(r, m)
	if m.Context != nil {
		t.Fatal("context kept")
	}
}

// P3, P45: the right side of a split gets no turn before it has the promise of
// the replica that was here before the split, and can be found.
func TestRightSideGetsNoTurnBeforeItsPromise_P3(t *testing.T) {
	now := leaderlease.Nanos(0)
	s := still(t, true, &now)
	r, err := s.newReplica(18, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(s.sleepers.ticking(), r) {
		t.Error("a replica that is being made ticks")
	}
	s.mu.Lock()
	s.addLocked(r)
	s.mu.Unlock()
	if !slices.Contains(s.sleepers.ticking(), r) || s.replica(18) != r {
		t.Error("a replica that is made does not tick")
	}
	r.stop()
	if slices.Contains(s.sleepers.ticking(), r) {
		t.Error("a replica that is gone ticks")
	}
}

// P3: a replica of the right side without data may have acknowledged its leader's beats
// before this process started: the one that a split makes then is bound as any.
func TestRightSideIsBoundByAnEarlierLife_P3(t *testing.T) {
	now := leaderlease.Nanos(0)
	s := still(t, false, &now)
	left := s.replica(3)
	side := func(id uint64, span proto.Span) *pontoonpb.Descriptor {
		d := left.desc.Load()
		return &pontoonpb.Descriptor{RangeId: id, Span: span.Wire(), Generation: 2, NextReplicaId: 4, Replicas: d.Replicas}
	}
	at := keys.User([]byte("m"))
	right := side(18, proto.Span{Start: at, End: keys.UserSpan.End})
	left.mu.Lock()
	batch := s.opts.Engine.NewBatch()
	err := left.createRight(batch, storage.RangeState{
		Descriptor: right, Truncated: storage.LogMark{Index: firstIndex, Term: firstTerm}, Applied: storage.AppliedState{Index: firstIndex, Term: firstTerm},
	}, 1)
	if err == nil {
		err = batch.Commit(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	left.splitDone(side(3, proto.Span{Start: keys.UserSpan.Start, End: at}), right)
	left.mu.Unlock()
	now = now.Add(999 * time.Millisecond)
	if asked(s.replica(18), vote(raftpb.MsgPreVote, 6, "")) {
		t.Fatal("voted within an election timeout of a restart")
	}
	now = now.Add(time.Millisecond)
	if !asked(s.replica(18), vote(raftpb.MsgPreVote, 6, "")) {
		t.Fatal("still mute after the election timeout")
	}
}

// P3, P45: a replica without data cannot lead, but once its leader is silent for longer
// than promised its vote is as good as any.
func TestReplicaWithoutDataVotes_P3(t *testing.T) {
	now := leaderlease.Nanos(0)
	r, err := still(t, true, &now).uninitialised(18, 1)
	if err != nil {
		t.Fatal(err)
	}
	asked(r, &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(3)), To: new(uint64(1)),
		Term: new(uint64(6)), Commit: new(uint64(0)), Context: leaderlease.ID(1).Bytes()})
	now = now.Add(999 * time.Millisecond)
	if asked(r, vote(raftpb.MsgPreVote, 7, "")) {
		t.Fatal("voted right after a heartbeat")
	}
	now = now.Add(time.Millisecond)
	if !asked(r, vote(raftpb.MsgPreVote, 7, "")) {
		t.Fatal("mute for longer than promised")
	}
}
