package simnet

import (
	"sync"
	"time"
)

// Shape is how a link treats what passes, in one direction.
type Shape struct {
	Delay  time.Duration // of everything
	Jitter time.Duration // up to so much more
	// LossPerMille of the segments are lost once and sent again Retransmit later.
	LossPerMille int
	// BytesPerSecond is what passes at most; 0: no limit.
	BytesPerSecond int
	// Cut: nothing passes.
	Cut bool
}

// Retransmit is how long a lost segment takes longer.
const Retransmit = 200 * time.Millisecond

// link is one direction between two hosts.
type link struct {
	mu      sync.Mutex
	shape   Shape
	changed chan struct{} // closed at the next change
}

func newLink(s Shape) *link { return &link{shape: s, changed: make(chan struct{})} }

func (l *link) set(s Shape) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shape = s
	close(l.changed)
	l.changed = make(chan struct{})
}

// now returns the shape and what is closed when it is another one.
func (l *link) now() (Shape, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shape, l.changed
}
