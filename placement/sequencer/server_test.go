package sequencer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// logOfLimits applies limits to the server it is for.
type logOfLimits struct {
	server *Server
	limit  proto.Revision
	fail   int // writes to fail
	writes int
}

var errNoQuorum = errors.New("no quorum")

func (l *logOfLimits) Persist(_ context.Context, prev, next proto.Revision) error {
	l.writes++
	if l.fail > 0 {
		l.fail--
		return errNoQuorum
	}
	if max(l.limit, proto.FirstRevision) != prev {
		return errNoQuorum
	}
	l.limit = next
	l.server.Applied(next, none)
	return nil
}

var none = Epochs{Floor: proto.NeverCompacted}

func newServer(t *testing.T) (*Server, *logOfLimits) {
	l := &logOfLimits{}
	l.server = NewServer(Options{Limits: l, LeaderHint: func() proto.NodeID { return 6 }})
	l.server.Start()
	t.Cleanup(l.server.Close)
	return l.server, l
}

func confirmed(context.Context) error { return nil }

func serve(t *testing.T, s *Server, sequence uint64, count int64) *pontoonpb.SequenceReply {
	t.Helper()
	r, err := s.Serve(t.Context(), &pontoonpb.SequenceAsk{Node: 1, Boot: 1, Sequence: sequence, Count: count, Epochs: none.Wire()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// S1: what was taken leaves only if leadership is confirmed after it; else the
// asker is sent to the leader that the node knows.
func TestS1ConfirmedAfterTaking(t *testing.T) {
	s, _ := newServer(t)
	var asked []proto.Revision // highest number granted when confirming
	deposed := false
	s.Gained(1, func(context.Context) error {
		asked = append(asked, s.kernel.Read())
		if deposed {
			return errNoQuorum
		}
		return nil
	}, 0, none)
	if r := serve(t, s, 1, 3); r.First != 2 || len(asked) != 1 || asked[0] != 4 {
		t.Fatalf("got %v, confirmed at %v", r, asked)
	}
	deposed = true
	if r := serve(t, s, 2, 1); !r.NotLeader || r.First != 0 || r.LeaderNode != 6 {
		t.Fatalf("got %v", r)
	}
	// P7: a repeat is confirmed again.
	deposed = false
	if r := serve(t, s, 2, 1); r.First != 5 || len(asked) != 3 {
		t.Fatalf("got %v, confirmed at %v", r, asked)
	}
}

// P6: a hand-over is over when every number given before has left, so that a
// transfer leaves no gap.
func TestP6HandOverWaitsForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := newServer(t)
		release := make(chan struct{})
		s.Gained(1, func(context.Context) error { <-release; return nil }, 0, none)
		served := make(chan struct{})
		go func() {
			if r := serve(t, s, 1, 3); r.First != 2 {
				t.Errorf("got %v", r)
			}
			close(served)
		}()
		synctest.Wait()
		over := make(chan error, 1)
		go func() { over <- s.HandOver(context.Background()) }()
		synctest.Wait()
		if l.limit != 4 {
			t.Fatalf("limit %d", l.limit)
		}
		select {
		case err := <-over:
			t.Fatalf("handed over (%v) ahead of an answer", err)
		default:
		}
		close(release)
		<-served
		if err := <-over; err != nil {
			t.Fatal(err)
		}
	})
}

// A leader that handed over and stays in office grants again by itself.
func TestResumeByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t)
		s.Gained(1, confirmed, 0, none)
		serve(t, s, 1, 3)
		if err := s.HandOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if r := serve(t, s, 2, 1); r.First != 5 {
			t.Fatalf("got %v", r)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Fatalf("took %v", took)
		}
		if err := s.HandOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Resume()
		if r := serve(t, s, 3, 1); r.First != 6 {
			t.Fatalf("got %v", r)
		}
	})
}

// Failed writes of limits are tried again, not in a hurry; who waits for one
// is answered in the end, or told that leadership is lost.
func TestPersistRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := newServer(t)
		l.fail = 10
		s.Gained(1, confirmed, 0, none)
		began := time.Now()
		if r := serve(t, s, 1, 1); r.First != 2 {
			t.Fatalf("got %v", r)
		}
		if took := time.Since(began); took != 200*time.Millisecond || l.writes != 11 {
			t.Fatalf("took %v, %d writes", took, l.writes)
		}
		l.fail = 1 << 30
		go func() {
			time.Sleep(time.Second)
			s.Lost(1)
		}()
		if r := serve(t, s, 2, 1<<20); !r.NotLeader {
			t.Fatalf("got %v", r)
		}
		if err := s.HandOver(t.Context()); !errors.Is(err, ErrNotLeading) {
			t.Fatalf("got %v", err)
		}
	})
}

// A late word of losing an old term does not end a new one.
func TestLostOfOldTerm(t *testing.T) {
	s, _ := newServer(t)
	s.Gained(5, confirmed, 10, none)
	s.Lost(4)
	if !s.Leading() {
		t.Fatal("lost term 4 ended term 5")
	}
	s.Lost(5)
	if s.Leading() {
		t.Fatal("still leading")
	}
}

// recordRange is the limit record behind SysWrite.
type recordRange struct {
	t     *testing.T
	value []byte
}

func (r *recordRange) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	w := op.GetSysWrite()
	if op.RangeId != uint64(proto.RootRange) || !keys.MetaSpan.Covers(proto.SpanOf(op.Span)) {
		r.t.Errorf("sent to %d %v", op.RangeId, op.Span)
	}
	if string(w.Conditions[0].Value) != string(r.value) {
		return &pontoonpb.RangeReply{Error: proto.Errorf(pontoonpb.RangeErrorCode_CONDITION_FAILED, "other").RangeError}, nil
	}
	r.value = w.Puts[0].Value
	return &pontoonpb.RangeReply{}, nil
}

// I6: a limit is written only over the one before it, also the first one.
func TestI6LimitRecord(t *testing.T) {
	r := &recordRange{t: t}
	l := LimitRecord{Sender: r}
	for _, c := range []struct {
		prev, next proto.Revision
		ok         bool
	}{{1, 1001, true}, {1, 2001, false}, {1001, 1, true}, {1, 500, true}, {400, 900, false}, {500, 900, true}} {
		err := l.Persist(t.Context(), c.prev, c.next)
		if (err == nil) != c.ok {
			t.Fatalf("%d to %d: %v", c.prev, c.next, err)
		}
		if got, err := DecodeLimit(r.value); err != nil || c.ok && got != c.next {
			t.Fatalf("record says %d, %v", got, err)
		}
	}
	if got, err := DecodeLimit(nil); err != nil || got != 1 {
		t.Fatalf("no record is %d, %v", got, err)
	}
	if _, err := DecodeLimit([]byte("short")); err == nil {
		t.Fatal("a torn record has a meaning")
	}
}
