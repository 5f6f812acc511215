package sequencer

import (
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Epochs are the floor and the epochs that asks are checked under (P9).
type Epochs struct {
	Floor proto.Revision
	Auth  uint64
	Alarm uint64
}

// EpochsOf returns the Go form of wire epochs.
func EpochsOf(e *pontoonpb.Epochs) Epochs {
	return Epochs{Floor: proto.Revision(e.GetFloor()), Auth: e.GetAuth(), Alarm: e.GetAlarm()}
}

// Wire returns the wire form.
func (e Epochs) Wire() *pontoonpb.Epochs {
	return &pontoonpb.Epochs{Floor: int64(e.Floor), Auth: e.Auth, Alarm: e.Alarm}
}

// Ticket names an ask towards the caller of the kernel.
type Ticket uint64

// Answer is the reply to one ask. It must not leave before the leadership of
// Term is confirmed, unless it refuses (S1).
type Answer struct {
	Ticket Ticket
	Reply  *pontoonpb.SequenceReply
	Term   proto.Term // to be confirmed; 0: a refusal, nothing to confirm
}

// Output is what the caller has to do after a step.
type Output struct {
	Answers []Answer
	// Persist asks for the limit Next in place of Prev; Next 0: nothing to do.
	// The outcome is reported by LimitApplied or PersistFailed.
	Prev, Next proto.Revision
}

type handOver int

const (
	granting handOver = iota
	wanted            // stopped granting; a raise is still on its way to the log
	proposed          // limit := next-1 is on its way
	handed            // limit := next-1 is applied
	resuming          // a raise proposed after the hand-over is wanted or on its way
)

// Kernel is the sequencer's state machine.
type Kernel struct {
	term   proto.Term // leading in it; 0: not leading
	limit  proto.Revision
	next   proto.Revision
	epochs Epochs

	sessions sessions
	queue    []queued // asks that wait for the limit, in order of arrival

	window   window
	inflight proto.Revision // limit on its way to the log; 0: none
	highest  proto.Revision // highest limit proposed in this term
	hand     handOver
	lowered  bool           // a hand-over was proposed and no raise after it is applied
	resumeAt proto.Revision // resuming: the applied limit that ends it
}

type queued struct {
	ticket  Ticket
	ask     *pontoonpb.SequenceAsk
	session *session
}

// Gained makes the kernel lead in term. limit and epochs are what the log says
// once an entry of that term is applied (P1).
func (k *Kernel) Gained(now time.Time, term proto.Term, limit proto.Revision, epochs Epochs) Output {
	out := k.Lost()
	limit = max(limit, proto.FirstRevision)
	*k = Kernel{
		term: term, limit: limit, next: limit + 1, epochs: epochs,
		sessions: sessions{}, window: newWindow(now), highest: limit,
	}
	k.raise(now, 0, &out)
	return out
}

// Lost ends leading. Whoever waits is sent elsewhere.
func (k *Kernel) Lost() Output {
	var out Output
	for _, q := range k.queue {
		out.Answers = append(out.Answers, refuse(q.ticket, q.ask))
	}
	*k = Kernel{}
	return out
}

// Leading returns the term in which the kernel leads, 0 for none.
func (k *Kernel) Leading() proto.Term { return k.term }

// Read returns the highest number granted, the read revision of the moment.
func (k *Kernel) Read() proto.Revision { return k.next - 1 }

// Handed reports whether the hand-over is in the log.
func (k *Kernel) Handed() bool { return k.hand == handed }

// Ask takes in one ask.
func (k *Kernel) Ask(now time.Time, ticket Ticket, ask *pontoonpb.SequenceAsk) Output {
	var out Output
	if k.term == 0 {
		out.Answers = []Answer{refuse(ticket, ask)}
		return out
	}
	s := k.sessions.of(proto.NodeID(ask.Node), ask.Boot)
	if ask.Sequence <= s.last { // a repeat (P7)
		if r, ok := s.repeat(ask.Sequence); ok {
			out.Answers = []Answer{{Ticket: ticket, Reply: r, Term: k.term}}
			return out
		}
		if k.rebind(s, ticket, ask) {
			return out
		}
		// It came before this node led and was refused, the one behind it came after.
		// Its sender goes on with nothing else before this is answered. If it does not
		// wait any more, the numbers are lost (P10).
	}
	s.last = max(s.last, ask.Sequence)
	if s.waiting > 0 || !k.servable(ask) {
		s.waiting++
		k.queue = append(k.queue, queued{ticket, ask, s})
	} else {
		out.Answers = []Answer{k.serve(ticket, ask, s)}
	}
	k.raise(now, k.wanting(), &out)
	return out
}

// rebind points a waiting ask at its newest ticket.
func (k *Kernel) rebind(s *session, ticket Ticket, ask *pontoonpb.SequenceAsk) bool {
	for i := range k.queue {
		if q := &k.queue[i]; q.session == s && q.ask.Sequence == ask.Sequence {
			q.ticket = ticket
			return true
		}
	}
	return false
}

// servable reports whether an ask can be answered without a higher limit.
func (k *Kernel) servable(ask *pontoonpb.SequenceAsk) bool {
	if ask.Count == 0 || EpochsOf(ask.Epochs) != k.epochs {
		return true
	}
	return k.hand == granting && k.next-1+proto.Revision(ask.Count) <= k.limit
}

// serve answers an ask that is servable.
func (k *Kernel) serve(ticket Ticket, ask *pontoonpb.SequenceAsk, s *session) Answer {
	r := &pontoonpb.SequenceReply{
		Sequence: ask.Sequence, Term: uint64(k.term),
		Read: int64(k.next - 1), // before its own grants (P8)
	}
	switch {
	case ask.Count == 0:
	case EpochsOf(ask.Epochs) != k.epochs:
		r.EpochsChanged = true // (P9)
	default:
		r.First = int64(k.next)
		k.next += proto.Revision(ask.Count)
		k.window.take(ask.Count)
	}
	r.Epochs = k.epochs.Wire()
	s.keep(r)
	return Answer{Ticket: ticket, Reply: r, Term: k.term}
}

// drain answers what waits and can be answered now, in order per session.
func (k *Kernel) drain(out *Output) {
	blocked := map[*session]bool{}
	rest := k.queue[:0]
	for _, q := range k.queue {
		if blocked[q.session] || !k.servable(q.ask) {
			blocked[q.session] = true
			rest = append(rest, q)
			continue
		}
		q.session.waiting--
		out.Answers = append(out.Answers, k.serve(q.ticket, q.ask, q.session))
	}
	clear(k.queue[len(rest):])
	k.queue = rest
}

// wanting returns how many numbers the queue waits for.
func (k *Kernel) wanting() int64 {
	var n int64
	for _, q := range k.queue {
		n += q.ask.Count
	}
	return n
}

// EpochsApplied takes in what the root range applied (P9).
func (k *Kernel) EpochsApplied(epochs Epochs) Output {
	var out Output
	if k.term == 0 || epochs == k.epochs {
		return out
	}
	k.epochs = epochs
	k.drain(&out)
	return out
}

// refuse sends the asker elsewhere; the driver adds the hint.
func refuse(t Ticket, ask *pontoonpb.SequenceAsk) Answer {
	return Answer{Ticket: t, Reply: &pontoonpb.SequenceReply{Sequence: ask.Sequence, NotLeader: true}}
}
