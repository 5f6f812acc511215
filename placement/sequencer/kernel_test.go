package sequencer

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// bench is a kernel with a log of limits: what it persists is applied when the
// test says so.
type bench struct {
	t       *testing.T
	k       Kernel
	now     time.Time
	ticket  Ticket
	epochs  Epochs
	answers map[Ticket]*pontoonpb.SequenceReply
	pending []Output // limits on their way
}

func newBench(t *testing.T, limit proto.Revision) *bench {
	b := &bench{
		t: t, now: time.Unix(1000, 0), answers: map[Ticket]*pontoonpb.SequenceReply{},
		epochs: Epochs{Floor: proto.NeverCompacted},
	}
	b.take(b.k.Gained(b.now, 5, limit, b.epochs))
	return b
}

func (b *bench) take(out Output) {
	for _, a := range out.Answers {
		if b.answers[a.Ticket] != nil {
			b.t.Fatalf("ticket %d answered twice", a.Ticket)
		}
		if !a.Reply.NotLeader && a.Term == 0 {
			b.t.Fatalf("a granting answer leaves unconfirmed (S1): %v", a.Reply)
		}
		b.answers[a.Ticket] = a.Reply
	}
	if out.Next != 0 {
		b.pending = append(b.pending, out)
		if len(b.pending) > 1 {
			b.t.Fatalf("two limits on their way: %v", b.pending)
		}
	}
}

// apply applies the limit on its way.
func (b *bench) apply() proto.Revision {
	b.t.Helper()
	if len(b.pending) == 0 {
		b.t.Fatal("no limit is on its way")
	}
	next := b.pending[0].Next
	b.pending = nil
	b.take(b.k.LimitApplied(b.now, next))
	return next
}

func (b *bench) ask(node, sequence uint64, count int64) *pontoonpb.SequenceReply {
	b.ticket++
	b.take(b.k.Ask(b.now, b.ticket, &pontoonpb.SequenceAsk{
		Node: node, Boot: 1, Sequence: sequence, Count: count, Epochs: b.epochs.Wire(),
	}))
	return b.answers[b.ticket]
}

func (b *bench) want(r *pontoonpb.SequenceReply, read, first int64) {
	b.t.Helper()
	if r == nil || r.NotLeader || r.Read != read || r.First != first {
		b.t.Fatalf("got %v, want read %d, first %d", r, read, first)
	}
}

// The empty store is revision 1, its first write is 2, and nothing is granted
// before the limit is in the log.
func TestNewCluster(t *testing.T) {
	b := newBench(t, 0)
	b.take(b.k.LimitApplied(b.now, 0)) // something else was applied, there is no record yet
	b.want(b.ask(1, 1, 0), 1, 0)
	if r := b.ask(1, 2, 1); r != nil {
		t.Fatalf("granted ahead of the limit: %v", r)
	}
	waiting := b.ticket
	limit := b.apply()
	b.want(b.answers[waiting], 1, 2)
	b.want(b.ask(1, 3, 3), 2, 3)
	b.want(b.ask(2, 1, 0), 5, 0)
	if limit < 1000 || limit > 2000 {
		t.Fatalf("first limit is %d", limit)
	}
}

// P1, P6: a leader after a crash starts above everything that can have been
// granted, and reads there.
func TestP6RestartAboveLimit(t *testing.T) {
	b := newBench(t, 5000)
	b.want(b.ask(1, 1, 0), 5000, 0)
	b.ask(1, 2, 1)
	b.apply()
	b.want(b.answers[b.ticket], 5000, 5001)
}

// P6: numbers never pass what the log says last.
func TestP6NeverAboveLimit(t *testing.T) {
	b := newBench(t, 0)
	limit := b.apply()
	left := int64(limit - 1)
	b.want(b.ask(1, 1, left), 1, 2)
	if r := b.ask(1, 2, 1); r != nil {
		t.Fatalf("granted %v above limit %d", r, limit)
	}
	waiting := b.ticket
	b.apply()
	b.want(b.answers[waiting], int64(limit), int64(limit)+1)
}

// P6: a hand-over leaves the exact next number, grants nothing meanwhile, and
// the next leader goes on without a gap.
func TestP6HandOver(t *testing.T) {
	b := newBench(t, 0)
	b.apply()
	b.want(b.ask(1, 1, 7), 1, 2)
	b.take(b.k.HandOver(b.now))
	if r := b.ask(1, 2, 1); r != nil {
		t.Fatalf("granted during a hand-over: %v", r)
	}
	b.want(b.ask(2, 1, 0), 8, 0) // reads go on
	if got := b.apply(); got != 8 {
		t.Fatalf("handed over %d, want 8", got)
	}
	if !b.k.Handed() {
		t.Fatal("hand-over did not end")
	}
	if r := b.ask(1, 3, 1); r != nil {
		t.Fatalf("granted after a hand-over: %v", r)
	}
	if len(b.pending) != 0 {
		t.Fatalf("a limit was raised after the hand-over: %v", b.pending)
	}
	b.take(b.k.Lost())
	if r := b.answers[b.ticket]; r == nil || !r.NotLeader {
		t.Fatalf("waiting ask got %v", r)
	}
	next := newBench(t, 8)
	next.apply()
	next.want(next.ask(1, 3, 1), 8, 9)
}

// P6: a leader that stays in office grants again only when a limit proposed
// after the hand-over is applied, not when one from before it is.
func TestP6ResumeNeedsLaterLimit(t *testing.T) {
	b := newBench(t, 0)
	limit := b.apply()
	b.ask(1, 1, int64(limit)-100) // wants a raise
	raise := b.pending[0]
	b.pending = nil
	b.take(b.k.PersistFailed(b.now, raise.Next)) // its fate is open ...
	again := b.pending[0]
	b.pending = nil
	b.take(b.k.HandOver(b.now))
	b.take(b.k.PersistFailed(b.now, again.Next)) // ... and so is the repeat's
	handed := b.pending[0]
	b.pending = nil
	if handed.Next != limit-99 {
		t.Fatalf("hands over %d, want %d", handed.Next, limit-99)
	}
	b.take(b.k.LimitApplied(b.now, raise.Next)) // ahead of the hand-over in the log
	b.take(b.k.PersistFailed(b.now, handed.Next))
	if r := b.ask(1, 2, 1); r != nil {
		t.Fatalf("a limit from before the hand-over made it grant: %v", r)
	}
	waiting := b.ticket
	b.take(b.k.LimitApplied(b.now, handed.Next)) // it was in the log after all
	if r := b.answers[waiting]; r != nil {
		t.Fatalf("granted after its own hand-over: %v", r)
	}
	for range 3 { // conditions on an old limit fail until one holds
		resume := b.pending[0]
		b.pending = nil
		if resume.Prev == handed.Next {
			b.take(b.k.LimitApplied(b.now, resume.Next))
			break
		}
		b.take(b.k.PersistFailed(b.now, resume.Next))
	}
	b.want(b.answers[waiting], int64(handed.Next), int64(handed.Next)+1)
}

// P6: resuming out of a second hand-over that was not proposed yet does not
// forget the first one.
func TestP6ResumeTwice(t *testing.T) {
	b := newBench(t, 0)
	b.apply()
	b.ask(1, 1, 10)
	b.take(b.k.HandOver(b.now))
	b.apply()
	b.take(b.k.Resume(b.now)) // a raise is on its way
	b.take(b.k.HandOver(b.now))
	b.take(b.k.Resume(b.now))
	if r := b.ask(1, 2, 1); r != nil {
		t.Fatalf("granted before a later limit was applied: %v", r)
	}
	for b.answers[b.ticket] == nil {
		b.apply()
	}
	b.want(b.answers[b.ticket], 11, 12)
}

// P7: a repeat gets the same numbers, in any order, and takes none.
func TestP7Repeats(t *testing.T) {
	b := newBench(t, 0)
	b.apply()
	first, second := b.ask(1, 1, 3), b.ask(1, 2, 4)
	b.want(first, 1, 2)
	b.want(second, 4, 5)
	b.want(b.ask(1, 2, 4), 4, 5)
	b.want(b.ask(1, 1, 3), 1, 2)
	b.want(b.ask(2, 1, 1), 8, 9)
}

// P7: the repeat of an ask that still waits takes nothing.
func TestP7WaitingRepeats(t *testing.T) {
	b := newBench(t, 0)
	if r := b.ask(1, 4, 2); r != nil {
		t.Fatal("granted without a limit")
	}
	old := b.ticket
	if r := b.ask(1, 4, 2); r != nil {
		t.Fatal("granted without a limit")
	}
	b.apply()
	b.want(b.answers[b.ticket], 1, 2)
	if b.answers[old] != nil {
		t.Fatal("the old ticket was answered too")
	}
	b.want(b.ask(2, 1, 0), 3, 0)
}

// P7: of two asks in flight the first is refused, since this node does not lead
// yet, the second comes when it does. The first is repeated until it is answered: it
// must be, or its process never gets a number in this term.
func TestP7RefusedBeforeItsFollower(t *testing.T) {
	b := newBench(t, 0)
	b.apply()
	b.want(b.ask(1, 4, 2), 1, 2)
	b.want(b.ask(1, 3, 3), 3, 4)
	b.want(b.ask(1, 3, 3), 3, 4)
	b.want(b.ask(1, 4, 2), 1, 2)
	b.want(b.ask(1, 5, 1), 6, 7)
}

// P7: asks of one process are answered in order, a read behind a waiting ask
// included; another process does not wait.
func TestP7Order(t *testing.T) {
	b := newBench(t, 0)
	b.ask(1, 1, 2)
	grant := b.ticket
	if r := b.ask(1, 2, 0); r != nil {
		t.Fatalf("a read overtook its process's ask: %v", r)
	}
	read := b.ticket
	b.want(b.ask(2, 1, 0), 1, 0)
	b.apply()
	b.want(b.answers[grant], 1, 2)
	b.want(b.answers[read], 3, 0)
}

// P9: what was checked under an old floor or epoch is granted nothing and
// learns the new ones.
func TestP9EpochsChanged(t *testing.T) {
	b := newBench(t, 0)
	b.apply()
	b.take(b.k.EpochsApplied(Epochs{Floor: 1, Auth: 2}))
	r := b.ask(1, 1, 5)
	if r == nil || !r.EpochsChanged || r.First != 0 || EpochsOf(r.Epochs) != (Epochs{Floor: 1, Auth: 2}) {
		t.Fatalf("got %v", r)
	}
	b.epochs = EpochsOf(r.Epochs)
	b.want(b.ask(1, 2, 5), 1, 2)
}

// P9: an ask that waits for the limit is checked again when it is served.
func TestP9WaitingAsk(t *testing.T) {
	b := newBench(t, 0)
	b.ask(1, 1, 5)
	b.take(b.k.EpochsApplied(Epochs{Floor: 1}))
	if r := b.answers[b.ticket]; r == nil || !r.EpochsChanged || r.First != 0 {
		t.Fatalf("got %v", r)
	}
}

// P10: the limit is about one second of use ahead, whatever the rate.
func TestP10Window(t *testing.T) {
	for _, perSecond := range []int64{10, 5_000, 200_000} {
		b := newBench(t, 0)
		b.apply()
		var limit proto.Revision
		seq := uint64(0)
		for range 400 {
			b.now = b.now.Add(10 * time.Millisecond)
			seq++
			b.ask(1, seq, max(perSecond/100, 1))
			for len(b.pending) > 0 {
				limit = b.apply()
			}
		}
		ahead := int64(limit - b.k.Read())
		if lo, hi := max(perSecond/4, 250), max(2*perSecond, minWindow); limit != 0 && (ahead < lo || ahead > hi) {
			t.Errorf("at %d per second the limit is %d ahead, want %d to %d", perSecond, ahead, lo, hi)
		}
	}
}

// A process that restarted starts a new session; asks of its old one that
// arrive late do not disturb it.
func TestBootsApart(t *testing.T) {
	b := newBench(t, 0)
	b.apply()
	b.want(b.ask(1, 9, 1), 1, 2)
	other := &pontoonpb.SequenceAsk{Node: 1, Boot: 2, Sequence: 1, Count: 1, Epochs: b.epochs.Wire()}
	out := b.k.Ask(b.now, 100, other)
	b.want(out.Answers[0].Reply, 2, 3)
	b.want(b.ask(1, 10, 1), 3, 4)
	out = b.k.Ask(b.now, 101, other)
	b.want(out.Answers[0].Reply, 2, 3)
}

// P6: the apply of a raise that was proposed before a hand-over of open fate
// does not end it: the hand-over may follow in the log.
func TestP6EarlierRaiseDoesNotResume(t *testing.T) {
	b := newBench(t, 0)
	limit := b.apply()
	b.ask(1, 1, int64(limit)-100)
	raise := b.pending[0]
	b.pending = nil
	b.take(b.k.HandOver(b.now))
	b.take(b.k.PersistFailed(b.now, raise.Next))
	handed := b.pending[0]
	b.pending = nil
	b.take(b.k.PersistFailed(b.now, handed.Next))
	b.take(b.k.LimitApplied(b.now, raise.Next))
	if r := b.ask(1, 2, 1); r != nil {
		t.Fatalf("granted %v, and its own hand-over is next in the log", r)
	}
}
