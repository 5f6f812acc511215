package closed

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// LeaseUntil returns the instant, on the driver's monotonic clock, until which
// the leader lease of a range led here is valid; 0 if it is not.
type LeaseUntil func(proto.RangeID) time.Duration

// entry is where a range stood when it entered.
type entry struct {
	term  proto.Term
	index proto.Index
}

// Sender is the leader's side of one stream to one peer.
type Sender struct {
	in     map[proto.RangeID]entry // as wanted
	told   map[proto.RangeID]entry // as the peer knows
	dirty  map[proto.RangeID]struct{}
	closed proto.Revision
	sent   proto.Revision
	leases leaseHeap
	lease  map[proto.RangeID]*lease
}

// NewSender returns the sender of a stream that starts empty.
func NewSender() *Sender {
	return &Sender{
		in: map[proto.RangeID]entry{}, told: map[proto.RangeID]entry{},
		dirty: map[proto.RangeID]struct{}{}, lease: map[proto.RangeID]*lease{},
	}
}

// Enter adds a range of which the peer has a replica, has nothing in flight,
// is led here in term and is applied here up to index. until is how long its
// leader lease is valid now, checked after the number last given to Close was
// learned.
func (s *Sender) Enter(id proto.RangeID, term proto.Term, index proto.Index, until time.Duration) {
	e := entry{term, index}
	if old, ok := s.in[id]; ok && old == e {
		return
	}
	s.in[id] = e
	s.dirty[id] = struct{}{}
	if l := s.lease[id]; l != nil {
		l.until = until
		heap.Fix(&s.leases, l.pos)
		return
	}
	l := &lease{id: id, until: until}
	s.lease[id] = l
	heap.Push(&s.leases, l)
}

// Leave removes a range: before its next ask is sent, before it proposes
// anything, when leadership ends. Unknown ranges are fine.
func (s *Sender) Leave(id proto.RangeID) {
	if _, ok := s.in[id]; !ok {
		return
	}
	delete(s.in, id)
	s.dirty[id] = struct{}{}
	heap.Remove(&s.leases, s.lease[id].pos)
	delete(s.lease, id)
}

// Close raises the number to c. now is an instant after c was learned. Ranges
// whose leader lease is not valid at now leave and are returned; the driver
// enters them again once it is. Each range is asked for its lease about once
// per lease duration, not at every call (I2).
func (s *Sender) Close(c proto.Revision, now time.Duration, until LeaseUntil) (expired []proto.RangeID) {
	if c <= s.closed {
		return nil
	}
	for len(s.leases) > 0 && s.leases[0].until <= now {
		l := s.leases[0]
		if l.until = until(l.id); l.until > now {
			heap.Fix(&s.leases, 0)
			continue
		}
		s.Leave(l.id)
		expired = append(expired, l.id)
	}
	s.closed = c
	return expired
}

// Len returns how many ranges are in.
func (s *Sender) Len() int { return len(s.in) }

// Flush returns the next update of the stream, nil if there is nothing to say.
// Its parts apply in the order leave, enter, closed. Updates must reach the
// peer in order; if one is lost the stream is broken and Reset must follow.
func (s *Sender) Flush() *pontoonpb.ClosedUpdate {
	rose := s.closed > s.sent && len(s.in) > 0
	if !rose && len(s.dirty) == 0 {
		return nil
	}
	u := &pontoonpb.ClosedUpdate{Closed: int64(s.closed)}
	for id := range s.dirty {
		want, in := s.in[id]
		known, told := s.told[id]
		if told && (!in || known != want) {
			u.Leave = append(u.Leave, uint64(id))
			delete(s.told, id)
		}
		if in && (!told || known != want) {
			u.Enter = append(u.Enter, &pontoonpb.ClosedEnter{
				RangeId: uint64(id), Term: uint64(want.term), AppliedIndex: uint64(want.index)})
			s.told[id] = want
		}
	}
	clear(s.dirty)
	s.sent = s.closed
	if len(u.Leave) == 0 && len(u.Enter) == 0 && !rose {
		return nil
	}
	slices.Sort(u.Leave)
	slices.SortFunc(u.Enter, func(a, b *pontoonpb.ClosedEnter) int { return cmp.Compare(a.RangeId, b.RangeId) })
	return u
}

// Reset starts a new stream: the peer knows nothing (I3). Ranges that are in
// enter again with the next Flush.
func (s *Sender) Reset() {
	clear(s.told)
	clear(s.dirty)
	for id := range s.in {
		s.dirty[id] = struct{}{}
	}
	s.sent = 0
}

// lease is what the sender last heard of a range's leader lease.
type lease struct {
	id    proto.RangeID
	until time.Duration
	pos   int
}

// leaseHeap has the lease that ends first on top.
type leaseHeap []*lease

func (h leaseHeap) Len() int           { return len(h) }
func (h leaseHeap) Less(i, j int) bool { return h[i].until < h[j].until }
func (h leaseHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

// Push implements heap.Interface.
func (h *leaseHeap) Push(x any) {
	l := x.(*lease)
	l.pos = len(*h)
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *leaseHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return l
}
