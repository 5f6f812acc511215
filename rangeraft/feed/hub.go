package feed

import (
	"bytes"
	"math"
	"sync"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Options of a hub.
type Options struct {
	// RingBytes bounds the newest changes kept for resuming subscribers.
	// Default 256 KiB; they are kept only while somebody subscribes.
	RingBytes int
	// QueueBytes bounds what waits for one slow subscriber. Default 8 MiB.
	QueueBytes int
	// MessageBytes is the size from which Recv cuts messages. Default 1 MiB.
	MessageBytes int
}

func (o Options) withDefaults() Options {
	if o.RingBytes <= 0 {
		o.RingBytes = 256 << 10
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 8 << 20
	}
	if o.MessageBytes <= 0 {
		o.MessageBytes = 1 << 20
	}
	return o
}

// unknown says that changes of any revision may have been applied before the
// hub began.
const unknown = proto.Revision(math.MaxInt64)

// Hub hands the changes of one replica to its subscribers.
type Hub struct {
	opts Options

	mu         sync.Mutex
	span       proto.Span
	generation uint64
	closed     proto.Revision
	base       proto.Revision // highest revision applied before the hub began, or unknown
	ring       ring
	subs       map[*Subscription]struct{}
	idle       int // Trims since the last subscriber left
	stopped    *pontoonpb.RangeError
}

// NewHub returns a hub for a replica in the given applied state. What was
// applied before is not in the ring: subscribers scan for it.
func NewHub(opts Options, span proto.Span, generation uint64, closed proto.Revision) *Hub {
	opts = opts.withDefaults()
	return &Hub{
		opts: opts, span: span, generation: generation, closed: closed, base: unknown,
		ring: ring{limit: opts.RingBytes}, subs: map[*Subscription]struct{}{},
	}
}

// Publish hands on what the entry at index changed, after its apply became
// visible to views. Calls come in apply order. The events belong to the hub
// and its readers afterwards and must not be changed.
func (h *Hub) Publish(index proto.Index, events []*pontoonpb.ChangeEvent) {
	if len(events) == 0 {
		return
	}
	b := newBatch(index, events)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring.push(b)
	if h.ring.on && len(h.subs) == 0 {
		if h.ring.sinceOff += b.bytes; h.ring.sinceOff > h.opts.RingBytes {
			h.ring.drop()
		}
	}
	for s := range h.subs {
		if !s.offer(b) {
			delete(h.subs, s) // I4
		}
	}
}

// Advance tells subscribers that everything at or below closed is published.
// It never takes a revision back; a closed revision that does not rise costs
// nothing.
func (h *Hub) Advance(closed proto.Revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if closed <= h.closed {
		return
	}
	h.closed = closed
	for s := range h.subs {
		s.offerCheckpoint(h.generation, closed)
	}
}

// Closed returns the last closed revision given to Advance.
func (h *Hub) Closed() proto.Revision {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// Subscribers returns how many subscriptions are open. A store calls Advance
// for idle ranges only where there are some.
func (h *Hub) Subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}

// Narrow changes the span and generation after a split or another change of
// the descriptor. Subscribers that reach outside end with RANGE_MISMATCH and
// the descriptors known (P21), after what was published before. What the ring
// holds of the other side goes: its own hub delivers that, and a subscriber to
// all of this one would get it a second time (I1).
func (h *Hub) Narrow(span proto.Span, generation uint64, known ...*pontoonpb.Descriptor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.span, h.generation = span, generation
	h.ring.narrow(span)
	for s := range h.subs {
		if span.Covers(s.span) {
			s.offerCheckpoint(generation, h.closed)
			continue
		}
		s.finish(proto.Mismatch(known...).RangeError, false)
		delete(h.subs, s)
	}
}

// Widen changes span and generation after a merge with the right neighbour.
// Whoever subscribed goes on with what it asked for. What was changed on the
// other side before is not in the ring: a new subscriber scans for it.
func (h *Hub) Widen(span proto.Span, generation uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.span, h.generation = span, generation
	h.base = unknown
	for s := range h.subs {
		s.whole = s.span.Covers(span)
		s.offerCheckpoint(generation, h.closed)
	}
}

// Reset ends every subscription with the cause and starts over from another
// applied state: a raft snapshot was applied (P23).
func (h *Hub) Reset(span proto.Span, generation uint64, closed proto.Revision, cause *proto.RangeError) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endAllLocked(cause)
	h.span, h.generation, h.closed = span, generation, closed
	h.base = unknown
	h.ring = ring{limit: h.opts.RingBytes}
}

// Close ends every subscription with the cause and refuses new ones with it.
func (h *Hub) Close(cause *proto.RangeError) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endAllLocked(cause)
	h.ring.drop()
	h.stopped = cause.RangeError
}

func (h *Hub) endAllLocked(cause *proto.RangeError) {
	for s := range h.subs {
		s.finish(cause.RangeError, true)
		delete(h.subs, s)
	}
}

// Trim is called now and then (tens of seconds): it drops the ring of a range
// that nobody subscribed to since the call before.
func (h *Hub) Trim() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) > 0 || !h.ring.on {
		h.idle = 0
		return
	}
	if h.idle++; h.idle > 1 {
		h.ring.drop()
	}
}

// Subscribe registers for every change in span with revision >= from; 0 means
// above the closed revision at registration, which is then the first
// checkpoint. open serves changes that the ring does not hold; it is not
// called if the ring suffices. The error is a *proto.RangeError.
func (h *Hub) Subscribe(span proto.Span, from proto.Revision, open OpenView) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped != nil {
		return nil, &proto.RangeError{RangeError: h.stopped}
	}
	if !h.span.Covers(span) || span.Empty() {
		return nil, proto.Mismatch()
	}
	first := from == 0
	if first {
		from = h.closed + 1
	}
	s := &Subscription{
		hub: h, span: cloneSpan(span), from: from, whole: span.Covers(h.span),
		limit: h.opts.QueueBytes, cut: h.opts.MessageBytes, wake: make(chan struct{}, 1),
	}
	if !h.ring.on {
		h.ring.drop()
		h.ring.on = true
	}
	h.ring.sinceOff, h.idle = 0, 0
	if first {
		s.offerCheckpoint(h.generation, h.closed)
		s.queue[0].first = true
	}
	if h.base < from && h.ring.serves(from) { // I2
		for _, b := range h.ring.held() {
			s.force(b)
		}
	} else {
		s.scan = &scan{open: open}
	}
	if !first {
		s.offerCheckpoint(h.generation, h.closed)
	}
	h.subs[s] = struct{}{}
	return s, nil
}

// scanned records what a finished scan of the hub's whole span proved: nothing
// applied before it has a revision above high.
func (h *Hub) scanned(s *Subscription, high proto.Revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, open := h.subs[s]; open && s.span.Covers(h.span) {
		h.base = min(h.base, high)
	}
}

func (h *Hub) remove(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
}

func cloneSpan(s proto.Span) proto.Span {
	return proto.Span{Start: bytes.Clone(s.Start), End: bytes.Clone(s.End)}
}
