package rangeraft

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// watchedSequencer looks at the side stream whenever numbers are asked for.
type watchedSequencer struct {
	Sequencer
	store    func() *Store
	inStream atomic.Int64
	asks     atomic.Int64
}

func (w *watchedSequencer) Ask(n int64, floor proto.Revision, auth uint64, done func(Grant, error)) {
	if s := w.store(); s != nil {
		s.closing.mu.Lock()
		if s.closing.in[proto.UserRange] != nil {
			w.inStream.Add(1)
		}
		s.closing.mu.Unlock()
		w.asks.Add(1)
	}
	w.Sequencer.Ask(n, floor, auth, done)
}

// P19: a range has left the side stream before its next ask is sent.
func TestLeavesSideStreamBeforeAsk_P19(t *testing.T) {
	var c *cluster
	var w *watchedSequencer
	c = newCluster(t, 1, func(o *Options) {
		w = &watchedSequencer{Sequencer: o.Sequencer, store: func() *Store {
			if c == nil {
				return nil
			}
			return c.nodes[1].store
		}}
		o.Sequencer = w
	})
	for i := range 5 {
		c.put("a", fmt.Sprint(i))
		c.wait("idle range in the side stream", func() bool {
			s := c.nodes[1].store
			s.closing.mu.Lock()
			defer s.closing.mu.Unlock()
			return s.closing.in[proto.UserRange] != nil
		})
	}
	if w.asks.Load() == 0 || w.inStream.Load() > 0 {
		t.Fatalf("%d of %d asks were sent from within the side stream", w.inStream.Load(), w.asks.Load())
	}
}

// P1: a leader that has not applied an entry of its term keeps requests
// waiting and proves nothing.
func TestNothingServedBeforeOwnEntry_P1(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.put("a", "1")
	l := c.leader(proto.UserRange)
	r := l.store.replica(proto.UserRange)
	r.mu.Lock()
	ev, term := r.ev, r.servingTerm.Load()
	r.ev = nil // as between winning the election and the first apply
	r.servingTerm.Store(0)
	r.state.Term-- // what is applied is of an earlier term
	r.ownTermApplied()
	early := r.ev != nil
	r.state.Term++
	r.mu.Unlock()
	if early {
		t.Fatal("began to serve before an entry of its term was applied")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	op := getOp("a", 2)
	op.RangeId = uint64(proto.UserRange)
	if reply := l.store.Do(ctx, op); reply.Error == nil {
		t.Fatal("served without an own entry")
	}
	r.mu.Lock()
	r.ev = ev
	r.servingTerm.Store(term)
	r.mu.Unlock()
	c.mustHave("a", "1")
}

// P45: a vote given for the right side before its split was applied here is
// kept by the split.
func TestSplitKeepsVotes_P45(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.put("a", "1")
	before := map[proto.NodeID]*Replica{}
	for _, nd := range c.nodes {
		self := uint64(nd.id)
		other := self%3 + 1
		m := &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(other), To: &self, Term: new(uint64(9)), Commit: new(uint64(0))}
		r := nd.store.receiver(proto.NodeID(other), &pontoonpb.RaftMessage{RangeId: 10, FromReplica: other, ToReplica: self}, m)
		if r == nil {
			t.Fatal("a leader's message made no replica")
		}
		before[nd.id] = r
		r.receive(m)
		c.wait("term is written", func() bool {
			hs, _, _ := nd.engine.Log(10).InitialState()
			return hs.GetTerm() == 9
		})
	}
	if _, err := c.do(ctxFor(t, 20*time.Second), splitOp(c, "m", 10)); err != nil {
		t.Fatal(err)
	}
	c.put("x", "right")
	for _, nd := range c.nodes {
		c.wait("term kept", func() bool {
			hs, _, _ := nd.engine.Log(10).InitialState()
			return hs.GetTerm() > 9 && nd.store.replica(10).desc.Load() != nil
		})
		old, now := before[nd.id], nd.store.replica(10)
		old.mu.Lock()
		gone, promise := old.gone, old.promise
		old.mu.Unlock()
		now.mu.Lock()
		if !gone || now.promise != promise {
			t.Error("the replica from before the split still acts, or its promise was forgotten (P3)")
		}
		now.mu.Unlock()
	}
}

// P45: a vote request makes a replica without data of a range that is not known here,
// and none of one that was removed from here.
func TestVotesMakeReplicas_P45(t *testing.T) {
	c := newCluster(t, 1, nil)
	s := c.nodes[1].store
	m := &raftpb.Message{Type: raftpb.MsgVote.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(9))}
	b := s.opts.Engine.NewBatch()
	if err := errors.Join(b.RemoveRange(11, 2), b.Commit(true)); err != nil {
		t.Fatal(err)
	}
	if r := s.receiver(2, &pontoonpb.RaftMessage{RangeId: 11, ToReplica: 1}, m); r != nil {
		t.Fatal("made a replica that was removed")
	}
	if r := s.receiver(2, &pontoonpb.RaftMessage{RangeId: 10, ToReplica: 1}, m); r == nil {
		t.Fatal("made no replica")
	}
}
