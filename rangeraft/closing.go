package rangeraft

import (
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/closed"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// closing drives the side stream of closed revisions (P19): one sender per
// node, this one included, and one receiver for all of them.
//
//	idle leader --enter--> senders --frames--> peers' receivers
//	Seen rises  --close--> senders --loopback-> own receiver --> feeds
type closing struct {
	s *Store

	mu      sync.Mutex
	senders map[proto.NodeID]*closed.Sender
	recv    *closed.Receiver
	streams map[proto.NodeID]uint64    // the current incoming stream of each peer
	leaders map[proto.RangeID]*Replica // served here
	in      map[proto.RangeID]*Replica // of leaders: in the side stream

	number  learned // last number closed at
	pending learned // of the last tick, closed at with the next one if leader leases are off
}

// learned is a number and an instant at which it was known. Without leader leases
// a range closes at it once a quorum confirmed its leader after that (P5).
type learned struct {
	rev proto.Revision
	at  leaderlease.Nanos
}

func newClosing(s *Store) *closing {
	return &closing{
		s: s, senders: map[proto.NodeID]*closed.Sender{}, recv: closed.NewReceiver(),
		streams: map[proto.NodeID]uint64{}, leaders: map[proto.RangeID]*Replica{},
		in: map[proto.RangeID]*Replica{},
	}
}

func (c *closing) leading() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.leaders)
}

func (c *closing) startLeading(r *Replica) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaders[r.id] = r
}

func (c *closing) stopLeading(r *Replica) {
	c.leave(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaders[r.id] == r {
		delete(c.leaders, r.id)
	}
}

// enter puts an idle range into the stream of every node with a replica. False:
// nothing proves its leadership since the number that the stream says was learned,
// and a leader elsewhere may have written below it (P19).
func (c *closing) enter(r *Replica, nodes []proto.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := c.provenUntil(r, c.number.at)
	if until <= time.Duration(c.s.opts.Now()) {
		return false
	}
	c.enterLocked(r, nodes, until)
	return true
}

// enterAt does the same for this number only, of which the caller has a proof;
// false if it has risen meanwhile.
func (c *closing) enterAt(r *Replica, nodes []proto.NodeID, number proto.Revision) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.number.rev != number {
		return false
	}
	c.enterLocked(r, nodes, 0)
	return true
}

// newest is the number that ranges close at now.
func (c *closing) newest() proto.Revision {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number.rev
}

func (c *closing) enterLocked(r *Replica, nodes []proto.NodeID, until time.Duration) {
	for _, n := range nodes {
		c.senderLocked(n).Enter(r.id, r.state.Term, r.state.Index, until)
	}
	c.in[r.id] = r
	c.flushSelfLocked()
	c.kickLocked(nodes)
}

func (c *closing) leave(r *Replica) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaveLocked(r)
}

func (c *closing) leaveLocked(r *Replica) {
	if c.in[r.id] != r {
		return
	}
	delete(c.in, r.id)
	for _, s := range c.senders {
		s.Leave(r.id)
	}
}

func (c *closing) senderLocked(n proto.NodeID) *closed.Sender {
	s := c.senders[n]
	if s == nil {
		s = closed.NewSender()
		s.Close(c.number.rev, 0, nil)
		c.senders[n] = s
	}
	return s
}

// provenUntil is how long a range may be in at a number: while its leader lease is
// valid, or without leases until the next number if a quorum confirmed its leader
// after this one was learned.
func (c *closing) provenUntil(r *Replica, at leaderlease.Nanos) time.Duration {
	if c.s.opts.DisableLeaderLease {
		if r.quorumAt.Load() >= int64(at) {
			return time.Duration(c.s.opts.Now()) + 1
		}
		return 0
	}
	return time.Duration(max(0, r.leaseEnd()))
}

// close raises the number to one learned just before now.
func (c *closing) close(rev proto.Revision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(learned{rev, c.s.opts.Now()})
}

func (c *closing) closeLocked(number learned) {
	if number.rev <= c.number.rev {
		return
	}
	c.number = number
	now := time.Duration(c.s.opts.Now())
	var expired []*Replica
	for _, s := range c.senders {
		for _, id := range s.Close(number.rev, now, func(id proto.RangeID) time.Duration {
			return c.provenUntil(c.in[id], number.at)
		}) {
			if r := c.in[id]; r != nil {
				expired = append(expired, r)
			}
		}
	}
	for _, r := range expired {
		c.leaveLocked(r)
		r.post(r.outOfClosed)
	}
	c.flushSelfLocked()
	for n := range c.senders {
		c.kickLocked([]proto.NodeID{n})
	}
}

// tick closes at what was seen.
func (c *closing) tick() {
	seen := c.s.opts.Sequencer.Seen()
	if !c.s.opts.DisableLeaderLease {
		c.close(seen)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(c.pending)
	c.pending = learned{seen, c.s.opts.Now()}
}

// push closes at a number that somebody waits for (P26).
func (c *closing) push(rev proto.Revision) {
	c.s.opts.Sequencer.ObservePush(rev)
	if !c.s.opts.DisableLeaderLease {
		c.close(max(rev, c.s.opts.Sequencer.Seen()))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, r := range c.leaders {
		if c.in[id] == nil {
			r.post(r.closeIdle)
		}
	}
}

func (c *closing) kickLocked(nodes []proto.NodeID) {
	for _, n := range nodes {
		if n != c.s.opts.NodeID {
			c.s.transport.Kick(n)
		}
	}
}

// flushSelfLocked moves the loopback stream on.
func (c *closing) flushSelfLocked() {
	s := c.senders[c.s.opts.NodeID]
	if s == nil {
		return
	}
	if u := s.Flush(); u != nil {
		c.receivedLocked(c.s.opts.NodeID, u)
	}
}

// updates returns what a stream to a node has to say next.
func (c *closing) updates(to proto.NodeID, fresh bool) []*pontoonpb.ClosedUpdate {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.senderLocked(to)
	if fresh {
		s.Reset()
	}
	if u := s.Flush(); u != nil {
		return []*pontoonpb.ClosedUpdate{u}
	}
	return nil
}

// received takes the updates of a peer's frame. Those of a stream that a newer
// one replaced are void.
func (c *closing) received(from proto.NodeID, stream uint64, updates []*pontoonpb.ClosedUpdate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch cur := c.streams[from]; {
	case stream < cur:
		return
	case stream > cur:
		c.streams[from] = stream
		c.recv.Reset(from)
	}
	for _, u := range updates {
		c.receivedLocked(from, u)
	}
}

func (c *closing) receivedLocked(from proto.NodeID, u *pontoonpb.ClosedUpdate) {
	for _, id := range c.recv.Update(from, u) {
		if r := c.s.replica(id); r != nil {
			p := r.published.Load()
			r.hub.Advance(max(p.closed, c.recv.Closed(id, p.term, p.index)))
		}
	}
}

func (c *closing) ended(from proto.NodeID, stream uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[from] == stream {
		c.recv.Reset(from)
	}
}

// believed is what the side streams grant to a replica that applied up to
// index.
func (c *closing) believed(id proto.RangeID, term proto.Term, index proto.Index) proto.Revision {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recv.Closed(id, term, index)
}

// watch makes rises of a range's closed revision reach its feed.
func (c *closing) watch(id proto.RangeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recv.Watch(id)
}

// unwatch undoes watch if nobody subscribes any more.
func (c *closing) unwatch(r *Replica) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.hub.Subscribers() == 0 {
		c.recv.Unwatch(r.id)
	}
}

func (c *closing) forget(id proto.RangeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recv.Forget(id)
}

// closeIdle puts the range into the side stream if it is idle, unlocked and its
// leadership is proven for after it was found so (P19).
func (r *Replica) closeIdle() {
	if !r.closable() {
		return
	}
	if r.inClosed = r.s.closing.enter(r, r.nodes()); !r.inClosed {
		r.proveAndClose()
	}
}

// closable reports whether the range may enter the side stream: it has nothing in
// flight, and no lock that holds it back.
func (r *Replica) closable() bool {
	if r.ev == nil || r.inClosed || !r.ev.Unlocked() {
		return false
	}
	_, idle := r.ev.IdleClosed()
	return idle
}

// proveAndClose closes at the number that is known now by a round that begins now
// (P5), and renews a lapsed lease by it: somebody may wait for the closing. Where
// there is no lease, because they are off or it was given up for the term after a
// transfer that failed (P2), the next number takes the range out again.
func (r *Replica) proveAndClose() {
	if r.proving {
		return
	}
	r.proving = true
	number := r.s.closing.newest()
	r.confirm(func(err error) {
		if err == nil && r.closable() {
			if r.inClosed = r.s.closing.enterAt(r, r.nodes(), number); !r.inClosed {
				r.closeIdle() // the number has risen; a lease covers it, too
			}
		}
		r.proving = false
	})
}

// nodes are those that have a replica.
func (r *Replica) nodes() []proto.NodeID {
	var nodes []proto.NodeID
	for _, rep := range r.desc.Load().GetReplicas() {
		nodes = append(nodes, proto.NodeID(rep.NodeId))
	}
	return nodes
}

// leaveClosed takes the range out of the side stream, before anything is in
// flight.
func (r *Replica) leaveClosed() {
	if r.inClosed {
		r.inClosed = false
		r.s.closing.leave(r)
	}
}

// outOfClosed follows an expiry found by the side stream.
func (r *Replica) outOfClosed() {
	r.wakeUp() // only ticks bring it back
	r.leaveClosed()
}

// advanceFeed tells subscribers of this replica how far it is closed.
func (r *Replica) advanceFeed() {
	if r.hub.Subscribers() > 0 {
		r.hub.Advance(r.closed())
	}
}
