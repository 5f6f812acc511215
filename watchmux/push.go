package watchmux

import (
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// A push that did not help is repeated, less and less often: a message may
// have been lost, or a leader had work in flight.
const (
	firstRepeat = 10 * time.Millisecond
	lastRepeat  = 200 * time.Millisecond
)

// patience counts refreshes: how long a feed may stay behind before another
// replica is tried.
const (
	firstPatience = 3
	maxPatience   = 30
)

// push asks for closing while somebody waits for resolved to rise (P26). It is
// the only caller of PushClosed but for refresh: wishes that come while a push
// is under way fold into the next one (I4).
func (s *Service) push() {
	var pushed proto.Revision
	var at time.Time
	repeat := firstRepeat
	timer := time.NewTimer(repeat)
	defer timer.Stop()
	for {
		want := s.waiting()
		switch {
		case want == 0:
			repeat, pushed = firstRepeat, 0
			timer.Stop()
		case want > pushed || time.Since(at) >= repeat:
			if want == pushed {
				repeat = min(2*repeat, lastRepeat)
			} else {
				repeat = firstRepeat
			}
			pushed, at = want, time.Now()
			timer.Reset(repeat)
			s.metrics.pushes.Inc()
			s.ports.Closer.PushClosed(want)
			if !pause(s.ctx, s.opts.PushInterval) {
				return
			}
		}
		select {
		case <-s.ctx.Done():
			return
		case <-s.pushWake:
		case <-timer.C:
		}
	}
}

func (s *Service) waiting() proto.Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	wish := s.wish
	s.wish = 0 // whoever still wishes says so again
	return max(s.kernel.Waiting(), wish)
}

// refresh closes what stayed idle: a part that stays behind could not be
// resumed once the floor passes it. A part that did not reach what was pushed
// several times has a feed that lags: it moves to another replica (P27).
func (s *Service) refresh() {
	seen := s.ports.Sequencer.Seen()
	s.mu.Lock()
	behind := s.kernel.Pending()
	for p, r := range s.runners {
		if p.Closed() >= r.pushed {
			r.lag = 0
		} else if r.lag++; r.lag >= r.patience {
			r.lag, r.patience = 0, min(2*r.patience, maxPatience)
			r.kick()
		}
		if p.Closed() < seen {
			behind = max(behind, seen)
			r.pushed = seen
		}
	}
	s.joinPartsLocked()
	s.mu.Unlock()
	if behind > 0 {
		s.metrics.pushes.Inc()
		s.ports.Closer.PushClosed(behind)
	}
}
