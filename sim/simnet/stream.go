package simnet

import (
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// UserTimeout is how long a sender tries to get something through.
	UserTimeout = 5 * time.Second
	// bufferBytes may be under way in a stream.
	bufferBytes = 1 << 20
)

// segment is what one Write sent.
type segment struct {
	data []byte
	at   time.Time // when it arrives, if the link lets it
}

// stream is one direction of a connection.
type stream struct {
	link *link
	rng  *rand.Rand

	mu       sync.Mutex
	segments []segment
	bytes    int
	last     time.Time     // arrival of the newest segment
	taken    time.Time     // when the receiver got the one before the next
	finished bool          // the sender closed: EOF after the last segment
	finAt    time.Time     // when that arrives
	broken   error         // what the receiver gets, once it arrived
	brokenAt time.Time     // then
	gone     bool          // the receiver closed; what is sent vanishes
	dark     bool          // it has no power: nothing that is sent is acknowledged
	silent   time.Time     // since when something was sent into the dark
	failed   error         // what the receiver gets at once: its own kernel gave up
	wake     chan struct{} // closed at the next change
}

func newStream(l *link, seed, number uint64) *stream {
	return &stream{link: l, rng: rand.New(rand.NewPCG(seed, number)), wake: make(chan struct{})}
}

func (s *stream) changedLocked() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// arrivalLocked draws when what is sent now arrives.
func (s *stream) arrivalLocked() time.Time {
	shape, _ := s.link.now()
	delay := shape.Delay
	if shape.Jitter > 0 {
		delay += time.Duration(s.rng.Int64N(int64(shape.Jitter)))
	}
	if shape.LossPerMille > 0 && s.rng.IntN(1000) < shape.LossPerMille {
		delay += Retransmit
	}
	at := time.Now().Add(delay)
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	return at
}

// write sends b, waiting for room. stop is closed when the sender's end is. A
// receiver that closed is no error here: the sender hears of that by reading, as
// the news takes its time.
func (s *stream) write(b []byte, deadline *deadline, stop <-chan struct{}) (int, error) {
	for {
		s.mu.Lock()
		switch {
		case s.stuckLocked():
			s.mu.Unlock()
			return 0, syscall.ETIMEDOUT
		case s.gone:
			if s.dark && s.silent.IsZero() {
				s.silent = time.Now()
			}
			s.mu.Unlock()
			return len(b), nil
		case s.bytes == 0 || s.bytes+len(b) <= bufferBytes:
			s.segments = append(s.segments, segment{append([]byte(nil), b...), s.arrivalLocked()})
			s.bytes += len(b)
			s.changedLocked()
			s.mu.Unlock()
			return len(b), nil
		}
		wake := s.wake
		s.mu.Unlock()
		over := deadline.over()
		select {
		case <-wake:
		case <-over:
			return 0, os.ErrDeadlineExceeded
		case <-stop:
			return 0, os.ErrClosed
		case <-time.After(UserTimeout): // look whether it is stuck
		}
	}
}

// stuckLocked says whether the oldest segment has not been acknowledged for too
// long.
func (s *stream) stuckLocked() bool {
	if s.dark {
		return !s.silent.IsZero() && time.Since(s.silent) > UserTimeout
	}
	shape, _ := s.link.now()
	return shape.Cut && len(s.segments) > 0 && time.Since(s.segments[0].at) > UserTimeout
}

// read takes what has arrived. stop is closed when the receiver's end is.
func (s *stream) read(b []byte, deadline *deadline, stop <-chan struct{}) (int, error) {
	for {
		select {
		case <-stop:
			return 0, os.ErrClosed
		default:
		}
		shape, changed := s.link.now()
		s.mu.Lock()
		wake := s.wake
		if s.failed != nil {
			defer s.mu.Unlock()
			return 0, s.failed
		}
		at, err := s.nextLocked(shape)
		wait := time.Until(at)
		if !at.IsZero() && wait <= 0 && !shape.Cut {
			defer s.mu.Unlock()
			if err != nil {
				return 0, err
			}
			return s.takeLocked(b), nil
		}
		s.mu.Unlock()
		var arrival <-chan time.Time
		if !at.IsZero() && wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			arrival = timer.C
		}
		select {
		case <-arrival:
		case <-wake:
		case <-changed:
		case <-deadline.over():
			return 0, os.ErrDeadlineExceeded
		case <-stop:
			return 0, os.ErrClosed
		}
	}
}

// nextLocked is what the receiver gets next and when, zero: nothing is under way.
// A slow link lets one segment through after the other; once it is fast again, so
// is what waits.
func (s *stream) nextLocked(shape Shape) (time.Time, error) {
	switch {
	case s.broken != nil:
		return s.brokenAt, s.broken
	case len(s.segments) > 0:
		head := s.segments[0]
		if shape.BytesPerSecond == 0 {
			return head.at, nil
		}
		through := time.Duration(len(head.data)) * time.Second / time.Duration(shape.BytesPerSecond)
		if s.taken.After(head.at) {
			return s.taken.Add(through), nil
		}
		return head.at.Add(through), nil
	case s.finished:
		return s.finAt, io.EOF
	}
	return time.Time{}, nil
}

func (s *stream) takeLocked(b []byte) int {
	head := &s.segments[0]
	n := copy(b, head.data)
	head.data = head.data[n:]
	s.bytes -= n
	if len(head.data) == 0 {
		s.segments = s.segments[1:]
		s.taken = time.Now()
	}
	s.changedLocked()
	return n
}

// finish ends the stream behind what is under way.
func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.finished {
		s.finished, s.finAt = true, s.arrivalLocked()
		s.changedLocked()
	}
}

// reset breaks the stream: the receiver hears of it after the link's delay.
func (s *stream) reset(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.segments, s.bytes = nil, 0
		s.broken, s.brokenAt = err, s.arrivalLocked()
		s.changedLocked()
	}
}

// fail breaks the stream for the receiver at once.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
	s.changedLocked()
}

// abandon: the receiver reads no more; dark: since it has no power.
func (s *stream) abandon(dark bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone, s.dark, s.segments, s.bytes = true, dark, nil, 0
	s.changedLocked()
}

// drop loses what a sender without power had not got onto the wire: all, if the
// link is cut.
func (s *stream) drop() {
	shape, _ := s.link.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if shape.Cut {
		s.segments, s.bytes = nil, 0
		s.changedLocked()
	}
}
