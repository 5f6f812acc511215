package sequencer

import (
	"context"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// HandOver stops granting and returns once the exact next number is in the log
// (P6) and every answer given before has left. The caller then transfers or gives up the leadership of the root
// range; if that fails it calls Resume, which otherwise happens by itself
// after Options.ResumeAfter. ErrNotLeading: there is nothing to hand over.
func (s *Server) HandOver(ctx context.Context) error {
	s.mu.Lock()
	term := s.kernel.Leading()
	if term == 0 {
		s.mu.Unlock()
		return ErrNotLeading
	}
	s.step(s.kernel.HandOver(time.Now()))
	s.mu.Unlock()
	time.AfterFunc(s.opts.ResumeAfter, func() { s.resume(term) })
	for {
		s.mu.Lock()
		changed, leading, handed := s.changed, s.kernel.Leading(), s.kernel.Handed() && s.open == 0
		s.mu.Unlock()
		switch {
		case leading != term:
			return ErrNotLeading
		case handed:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Resume lets a leader that stayed in office grant again.
func (s *Server) Resume() {
	s.mu.Lock()
	term := s.kernel.Leading()
	s.mu.Unlock()
	s.resume(term)
}

func (s *Server) resume(term proto.Term) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if term != 0 && s.kernel.Leading() == term {
		s.step(s.kernel.Resume(time.Now()))
	}
}

// writeLimits is the one writer of limits (I6).
func (s *Server) writeLimits() {
	for {
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			return
		}
		s.mu.Lock()
		w := s.persist
		s.persist = limitWrite{}
		current := w.next != 0 && s.kernel.Leading() == w.term
		s.mu.Unlock()
		if !current {
			continue
		}
		if err := s.writeLimit(w); err != nil {
			s.opts.Logger.Warn("sequencer limit not persisted", "term", uint64(w.term), "limit", int64(w.next), "err", err)
			s.failed(w)
		}
	}
}

func (s *Server) writeLimit(w limitWrite) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.PersistTimeout)
	defer cancel()
	return s.opts.Limits.Persist(ctx, w.prev, w.next)
}

// failed reports a failed write after a pause.
func (s *Server) failed(w limitWrite) {
	pause := time.NewTimer(s.opts.RetryInterval)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-s.ctx.Done():
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kernel.Leading() == w.term {
		s.step(s.kernel.PersistFailed(time.Now(), w.next))
	}
}
