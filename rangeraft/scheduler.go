package rangeraft

import (
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// scheduler hands replicas with something to do to a pool of workers. A
// replica is processed by at most one worker at a time (I1), and signals that
// arrive meanwhile are folded into one more turn. The root range goes before all
// others: while it has no leader nothing is written anywhere, and behind thousands
// of ranges that look for theirs it would never find one.
type scheduler struct {
	wg sync.WaitGroup

	mu     sync.Mutex
	wake   *sync.Cond
	root   *Replica // waits, before queue
	queue  []*Replica
	closed bool
}

// turn is a replica's place in the scheduler, guarded by its mu.
type turn struct {
	queued  bool // wants a turn
	running bool // has one
}

func newScheduler() *scheduler {
	s := &scheduler{}
	s.wake = sync.NewCond(&s.mu)
	return s
}

func (s *scheduler) start(workers int) {
	s.wg.Add(workers)
	for range workers {
		go s.work()
	}
}

// signal gives the replica a turn soon.
func (s *scheduler) signal(r *Replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.turn.queued || s.closed {
		return
	}
	r.turn.queued = true
	if !r.turn.running {
		s.pushLocked(r)
	}
}

func (s *scheduler) pushLocked(r *Replica) {
	if r.id == proto.RootRange {
		s.root = r
	} else {
		s.queue = append(s.queue, r)
	}
	s.wake.Signal()
}

// popLocked returns whose turn is next.
func (s *scheduler) popLocked() *Replica {
	if r := s.root; r != nil {
		s.root = nil
		return r
	}
	r := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return r
}

// behind returns how many replicas wait for a turn.
func (s *scheduler) behind() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

func (s *scheduler) work() {
	defer s.wg.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for s.root == nil && len(s.queue) == 0 && !s.closed {
			s.wake.Wait()
		}
		if s.closed {
			return
		}
		r := s.popLocked()
		r.turn.queued, r.turn.running = false, true
		s.mu.Unlock()
		began := time.Now()
		r.process()
		r.load.turn(began)
		s.mu.Lock()
		r.turn.running = false
		if r.turn.queued {
			s.pushLocked(r)
		}
	}
}

// close stops the workers after the turn they are in.
func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	s.wake.Broadcast()
	s.mu.Unlock()
	s.wg.Wait()
}
