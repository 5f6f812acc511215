package feed

import (
	"context"
	"io"
	"sync"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// item is one thing in a subscriber's queue, in publishing order.
type item struct {
	batch      batch
	checkpoint *pontoonpb.Checkpoint // set: no batch
	first      bool                  // what a subscription from 0 starts above: goes out alone
}

// Subscription is one reader of a hub.
type Subscription struct {
	hub   *Hub
	span  proto.Span
	from  proto.Revision
	whole bool // the span covers the hub's: nothing to filter by key; under hub.mu
	limit int
	cut   int
	wake  chan struct{}

	recv sync.Mutex // one Recv or Close at a time touches scan
	scan *scan      // not nil: the engine's part is not delivered yet

	mu     sync.Mutex
	queue  []item
	bytes  int
	seen   proto.Index // batches up to here came with the scan
	ended  *pontoonpb.RangeError
	done   bool // the end was delivered
	closed bool
}

// offer queues a batch; false: the queue overflowed and the subscription is
// over.
func (s *Subscription) offer(b batch) bool {
	b = s.clip(b)
	if len(b.events) == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+b.bytes > s.limit && s.bytes > 0 {
		s.finishLocked(proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "feed: subscriber is too slow").RangeError, true)
		return false
	}
	s.pushLocked(b)
	return true
}

// force queues a batch whatever its size: the ring is bounded by itself.
func (s *Subscription) force(b batch) {
	if b = s.clip(b); len(b.events) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushLocked(b)
}

func (s *Subscription) pushLocked(b batch) {
	if b.index <= s.seen {
		return // applied before the scan's view, published after it (I1)
	}
	s.queue = append(s.queue, item{batch: b})
	s.bytes += b.bytes
	s.signal()
}

// clip leaves the events of the subscription's span at or above from.
func (s *Subscription) clip(b batch) batch {
	keep := func(e *pontoonpb.ChangeEvent) bool {
		return revisionOf(e) >= s.from && (s.whole || s.span.Contains(internalKey(e)))
	}
	for i, e := range b.events {
		if keep(e) {
			continue
		}
		kept := append([]*pontoonpb.ChangeEvent(nil), b.events[:i]...)
		for _, e := range b.events[i+1:] {
			if keep(e) {
				kept = append(kept, e)
			}
		}
		return newBatch(b.index, kept)
	}
	return b
}

// offerCheckpoint queues a checkpoint. One that waits at the end of the queue
// is replaced.
func (s *Subscription) offerCheckpoint(generation uint64, closed proto.Revision) {
	c := &pontoonpb.Checkpoint{Span: s.span.Wire(), Generation: generation, Closed: int64(closed)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.queue); n > 0 && s.queue[n-1].checkpoint != nil && !s.queue[n-1].first {
		s.queue[n-1].checkpoint = c
	} else {
		s.queue = append(s.queue, item{checkpoint: c})
	}
	s.signal()
}

// finish ends the subscription, with or without what is queued.
func (s *Subscription) finish(cause *pontoonpb.RangeError, drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishLocked(cause, drop)
}

func (s *Subscription) finishLocked(cause *pontoonpb.RangeError, drop bool) {
	if s.ended != nil {
		return
	}
	s.ended = cause
	if drop {
		s.queue, s.bytes = nil, 0
	}
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Recv returns the next message: events and, after them in time, a checkpoint.
// A message with Ended is the last one, then io.EOF follows. One goroutine
// calls Recv; Close may be called from any.
func (s *Subscription) Recv(ctx context.Context) (*pontoonpb.FeedMessage, error) {
	for {
		if m, err := s.next(); m != nil || err != nil {
			return m, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.wake:
		}
	}
}

// next returns what is there without waiting, or nothing.
func (s *Subscription) next() (*pontoonpb.FeedMessage, error) {
	s.recv.Lock()
	defer s.recv.Unlock()
	if s.over() && s.scan != nil {
		s.scan.close()
	} else if m := s.leading(); m != nil {
		return m, nil
	} else if s.scan != nil {
		events, err := s.scan.pull(s)
		if err != nil {
			s.hub.remove(s)
			s.finish(proto.ToWire(err), true)
		}
		if len(events) > 0 {
			return &pontoonpb.FeedMessage{Events: events}, nil
		}
		if s.scan.finished && err == nil {
			s.joinLive(s.scan.index)
		}
	}
	return s.take()
}

// over reports whether the subscription ended or was closed.
func (s *Subscription) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended != nil || s.closed
}

// leading returns the first checkpoint of a subscription from 0: nothing at or
// below it is wanted, so it does not wait for the scan.
func (s *Subscription) leading() *pontoonpb.FeedMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || !s.queue[0].first {
		return nil
	}
	c := s.queue[0].checkpoint
	s.queue = s.queue[1:]
	return &pontoonpb.FeedMessage{Checkpoint: c}
}

// joinLive drops the live batches that the scan at index has seen (I1).
func (s *Subscription) joinLive(index proto.Index) {
	high := s.scan.high
	s.scan.close()
	s.scan = nil
	s.mu.Lock()
	kept := s.queue[:0]
	for _, it := range s.queue {
		if it.checkpoint == nil && it.batch.index <= index {
			s.bytes -= it.batch.bytes
			continue
		}
		kept = append(kept, it)
	}
	clear(s.queue[len(kept):])
	s.queue, s.seen = kept, index
	s.mu.Unlock()
	s.hub.scanned(s, max(high, s.from-1))
}

// take returns queued events up to the cut and the last checkpoint among them.
func (s *Subscription) take() (*pontoonpb.FeedMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.done {
		return nil, io.EOF
	}
	var m *pontoonpb.FeedMessage
	if s.scan == nil || s.ended != nil {
		m = s.drainLocked()
	}
	if m == nil && s.ended != nil {
		s.done = true
		return &pontoonpb.FeedMessage{Ended: s.ended}, nil
	}
	return m, nil
}

func (s *Subscription) drainLocked() *pontoonpb.FeedMessage {
	if s.scan != nil {
		// The end came in the middle of a scan: what is queued stands behind
		// changes that will not be delivered any more.
		s.queue, s.bytes = nil, 0
		return nil
	}
	var m *pontoonpb.FeedMessage
	size, n := 0, 0
	for _, it := range s.queue {
		if it.checkpoint == nil && size > 0 && size+it.batch.bytes > s.cut {
			break
		}
		if m == nil {
			m = &pontoonpb.FeedMessage{}
		}
		n++
		if it.checkpoint != nil {
			m.Checkpoint = it.checkpoint
			continue
		}
		m.Events = append(m.Events, it.batch.events...)
		size += it.batch.bytes
		s.bytes -= it.batch.bytes
	}
	clear(s.queue[:n])
	s.queue = s.queue[n:]
	if len(s.queue) == 0 {
		s.queue = nil
	}
	return m
}

// Close ends the subscription from the reader's side.
func (s *Subscription) Close() {
	s.hub.remove(s)
	s.mu.Lock()
	s.closed = true
	s.queue, s.bytes = nil, 0
	s.signal()
	s.mu.Unlock()
	s.recv.Lock()
	defer s.recv.Unlock()
	if s.scan != nil {
		s.scan.close()
		s.scan = nil
	}
}
