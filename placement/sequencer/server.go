package sequencer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Options configure a Server.
type Options struct {
	ClusterID uint64
	Limits    Limits
	// LeaderHint names the node that leads the root range as far as this node
	// knows, 0 if it does not. It must not block. Nil: never known.
	LeaderHint func() proto.NodeID
	// PersistTimeout bounds one write of the limit. Default 2 s.
	PersistTimeout time.Duration
	// RetryInterval is the pause after a failed write. Default 20 ms.
	RetryInterval time.Duration
	// ResumeAfter is when a leader that handed over but was not replaced
	// starts to grant again. Default 3 s.
	ResumeAfter time.Duration
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

func (o *Options) defaults() {
	if o.LeaderHint == nil {
		o.LeaderHint = func() proto.NodeID { return 0 }
	}
	if o.PersistTimeout <= 0 {
		o.PersistTimeout = 2 * time.Second
	}
	if o.RetryInterval <= 0 {
		o.RetryInterval = 20 * time.Millisecond
	}
	if o.ResumeAfter <= 0 {
		o.ResumeAfter = 3 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// ErrNotLeading says that this node does not hand out revisions.
var ErrNotLeading = errors.New("sequencer: not leading the root range")

// Server drives the kernel of one node. Gained, Lost and Applied are called by
// the root replica in log order and do not block.
type Server struct {
	opts    Options
	metrics metrics
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	ctx     context.Context // of the writer of limits; ends with Close

	mu      sync.Mutex
	kernel  Kernel
	confirm Confirm
	ticket  Ticket
	waiting map[Ticket]*waiter
	open    int // granted answers that neither left nor were refused
	persist limitWrite
	changed chan struct{} // closed and replaced at every step of a hand-over
	wake    chan struct{} // the writer of limits has work
}

type limitWrite struct {
	term       proto.Term
	prev, next proto.Revision
}

// waiter is one ask on its way to its answer.
type waiter struct {
	done   chan struct{} // nil: answered at once
	answer Answer
	open   bool // counted in Server.open
}

// NewServer returns a server that leads nothing yet.
func NewServer(opts Options) *Server {
	opts.defaults()
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		opts: opts, metrics: newMetrics(opts.Registerer), ctx: ctx, cancel: cancel,
		waiting: map[Ticket]*waiter{}, changed: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// Start begins to write limits.
func (s *Server) Start() {
	s.wg.Go(s.writeLimits)
}

// Close stops leading and ends what waits.
func (s *Server) Close() {
	s.mu.Lock()
	s.step(s.kernel.Lost())
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}

// Gained makes the node hand out revisions in term. limit and epochs are
// what is applied, an entry of the term included (P1); limit 0: no record.
func (s *Server) Gained(term proto.Term, confirm Confirm, limit proto.Revision, epochs Epochs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirm = confirm
	s.step(s.kernel.Gained(time.Now(), term, limit, epochs))
	s.opts.Logger.Info("sequencer gained", "term", uint64(term), "limit", int64(limit))
}

// Lost ends leading if it is term that was led.
func (s *Server) Lost(term proto.Term) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kernel.Leading() == 0 || s.kernel.Leading() > term {
		return
	}
	s.step(s.kernel.Lost())
	s.confirm = nil
	s.opts.Logger.Info("sequencer lost", "term", uint64(term))
}

// Applied tells what the log of the root range says now. It is called after
// the apply of any entry that touches the limit, the floor or an epoch, before
// that entry is answered (P9).
func (s *Server) Applied(limit proto.Revision, epochs Epochs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step(s.kernel.EpochsApplied(epochs))
	s.step(s.kernel.LimitApplied(time.Now(), limit))
}

// Leading reports whether asks are served here.
func (s *Server) Leading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kernel.Leading() != 0
}

// step carries out what the kernel wants. Called with mu held.
func (s *Server) step(out Output) {
	for _, a := range out.Answers {
		w := s.waiting[a.Ticket]
		if w == nil {
			continue
		}
		delete(s.waiting, a.Ticket)
		s.settle(w, a)
		close(w.done)
	}
	if out.Next != 0 {
		s.persist = limitWrite{s.kernel.Leading(), out.Prev, out.Next}
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	s.notify()
}

// submit takes an ask in. The waiter is answered at once unless it has a
// channel.
func (s *Server) submit(ask *pontoonpb.SequenceAsk) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticket++
	out := s.kernel.Ask(time.Now(), s.ticket, ask)
	if len(out.Answers) == 1 && out.Answers[0].Ticket == s.ticket {
		w := &waiter{}
		s.settle(w, out.Answers[0])
		if out.Next != 0 {
			s.step(Output{Prev: out.Prev, Next: out.Next})
		}
		return w
	}
	w := &waiter{done: make(chan struct{})}
	s.waiting[s.ticket] = w
	s.step(out)
	return w
}

// settle gives a waiter its answer. Called with mu held.
func (s *Server) settle(w *waiter, a Answer) {
	w.answer = a
	if a.Reply.First > 0 {
		s.open++
		w.open = true
	}
}

// finish ends the waiter's answer: it left, was refused, or its asker went
// away.
func (s *Server) finish(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, have := range s.waiting {
		if have == w {
			delete(s.waiting, t)
		}
	}
	if w.open {
		w.open = false
		s.open--
		if s.open == 0 {
			s.notify()
		}
	}
}

// notify lets a hand-over look again. Called with mu held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// confirmed proves the leadership of term, once for all answers at hand. It
// starts after their numbers were taken (S1, I2).
func (s *Server) confirmed(ctx context.Context, term proto.Term) bool {
	s.mu.Lock()
	confirm := s.confirm
	leading := s.kernel.Leading() == term
	s.mu.Unlock()
	return leading && confirm != nil && confirm(ctx) == nil
}

// release returns the reply that may leave: the answer's if leadership was
// confirmed, else a refusal with a hint. The numbers of a refused one are lost.
func (s *Server) release(a Answer, confirmed bool) *pontoonpb.SequenceReply {
	if a.Term != 0 && confirmed {
		s.metrics.replies.Inc()
		return a.Reply
	}
	s.metrics.refused.Inc()
	return &pontoonpb.SequenceReply{
		Sequence: a.Reply.Sequence, NotLeader: true, LeaderNode: uint64(s.opts.LeaderHint()),
	}
}

// Serve answers one ask of this node's own client, without a connection. It
// blocks until the answer may leave; a refusal is an answer.
func (s *Server) Serve(ctx context.Context, ask *pontoonpb.SequenceAsk) (*pontoonpb.SequenceReply, error) {
	w := s.submit(ask)
	defer s.finish(w)
	if w.done != nil {
		select {
		case <-w.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.release(w.answer, w.answer.Term != 0 && s.confirmed(ctx, w.answer.Term)), nil
}
