package rangeraft

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/rangeraft/liveness"
)

// sleepers drives the liveness kernel (P48) for the store, and knows which replicas
// are awake: nobody else is visited by tick.
//
//	tick --beat--> peers          frames --Take--> news --post--> replicas
//	  |--who is silent, and who is cold--> waking --a few per tick--> replicas
type sleepers struct {
	s *Store

	mu       sync.Mutex // a leaf: nothing is called with it held
	kernel   *liveness.Kernel
	up       map[proto.RangeID]*Replica
	expected map[proto.NodeID]struct{} // of them leaders hope that they sleep soon
	silent   map[proto.NodeID]int      // ticks in a row
	waking   []waking                  // in order
	ticks    int
}

// waking is a replica that is to look for a leader.
type waking struct {
	r    *Replica
	rank int
}

const (
	// wakesPerTick bounds elections that begin for ranges nobody asks for.
	wakesPerTick = 200
	// offersPerTick bounds sleep offered to a node that restarted.
	offersPerTick = 500
	// silentTicks is how many ticks in a row a node must be found silent: the
	// first may come before what it sent was read.
	silentTicks = 2
	// coldGrace is how long streams to a node that restarted may take to open.
	coldGrace = time.Second
	// strayTicks is how often it is looked for ranges that sleep under no leader.
	strayTicks = 50
)

func newSleepers(s *Store, boot uint64) *sleepers {
	return &sleepers{
		s: s, kernel: liveness.New(boot, s.opts.electionTimeout()), up: map[proto.RangeID]*Replica{},
		expected: map[proto.NodeID]struct{}{}, silent: map[proto.NodeID]int{},
	}
}

// awake makes the replica tick.
func (z *sleepers) awake(r *Replica) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.up[r.id] = r
}

// rest ends the replica's ticks.
func (z *sleepers) rest(r *Replica) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.up[r.id] == r {
		delete(z.up, r.id)
	}
}

// ticking returns the replicas that are awake.
func (z *sleepers) ticking() []*Replica {
	z.mu.Lock()
	defer z.mu.Unlock()
	rs := make([]*Replica, 0, len(z.up))
	for _, r := range z.up {
		rs = append(rs, r)
	}
	return rs
}

// sleep puts a follower to sleep under a leader there.
func (z *sleepers) sleep(r *Replica, leader proto.NodeID, term proto.Term) {
	z.mu.Lock()
	if z.up[r.id] == r {
		delete(z.up, r.id)
	}
	z.kernel.Sleep(leader, r.id, term)
	z.mu.Unlock()
	z.s.transport.Kick(leader)
}

// wake ends it, and returns when the leader's node was heard last.
func (z *sleepers) wake(leader proto.NodeID, id proto.RangeID) leaderlease.Nanos {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.kernel.Wake(leader, id)
}

func (z *sleepers) heard(node proto.NodeID) leaderlease.Nanos {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.kernel.Heard(node)
}

func (z *sleepers) covered(node proto.NodeID, id proto.RangeID, term proto.Term) leaderlease.Nanos {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.kernel.Covered(node, id, term)
}

// allAsleep reports whether the range sleeps on all nodes, which answer.
func (z *sleepers) allAsleep(id proto.RangeID, term proto.Term, nodes []proto.NodeID) bool {
	recent := z.s.opts.Now().Add(-4 * z.s.opts.TickInterval)
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, n := range nodes {
		if z.kernel.Covered(n, id, term) < recent {
			return false
		}
	}
	return true
}

// leaseEnd is when the lease of a leader that sleeps lapses.
func (z *sleepers) leaseEnd(id proto.RangeID, with *asleepWith, lease *leaderlease.Lease) leaderlease.Nanos {
	if with == nil {
		return leaderlease.Never
	}
	now := z.s.opts.Now()
	times := make([]leaderlease.Nanos, 0, 8)
	times = append(times, now)
	z.mu.Lock()
	for _, n := range with.others {
		times = append(times, z.kernel.Covered(n, id, with.term))
	}
	z.mu.Unlock()
	slices.Sort(times)
	at := times[(len(times)-1)/2]
	if at == leaderlease.Never {
		return leaderlease.Never
	}
	return at.Add(lease.Duration())
}

// expect makes beats reach nodes on which leaders want to put voters to sleep.
func (z *sleepers) expect(nodes []proto.NodeID) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, n := range nodes {
		z.expected[n] = struct{}{}
	}
}

func (z *sleepers) found(node proto.NodeID, id proto.RangeID) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.kernel.Found(node, id)
}

func (z *sleepers) rouse(node proto.NodeID, id proto.RangeID) {
	z.mu.Lock()
	z.kernel.Rouse(node, id)
	says := z.kernel.Answers(node)
	z.mu.Unlock()
	if says {
		z.s.transport.Kick(node)
	}
}

// message is what a stream says next.
func (z *sleepers) message(to proto.NodeID, fresh bool) *pontoonpb.Liveness {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.kernel.Message(to, fresh)
}

// take follows a peer's message.
func (z *sleepers) take(from proto.NodeID, stream uint64, m *pontoonpb.Liveness) {
	if m == nil {
		return
	}
	z.mu.Lock()
	news := z.kernel.Take(from, stream, m, z.s.opts.Now())
	says := z.kernel.Answers(from)
	z.mu.Unlock()
	if says {
		z.s.transport.Kick(from)
	}
	for _, id := range news.Woke {
		if r := z.s.replica(id); r != nil {
			r.post(func() {
				if r.slumber.led {
					r.wakeUp()
				}
			})
		}
	}
	for _, id := range news.Roused {
		if r := z.s.replica(id); r != nil {
			r.post(func() {
				if r.slumber.under == from {
					r.wakeUp()
				}
			})
		}
	}
	z.enqueue(news.Orphans)
}

func (z *sleepers) ended(from proto.NodeID, stream uint64) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.kernel.Ended(from, stream)
}

// enqueue makes replicas wake one after another, those first whose turn to
// campaign comes first.
func (z *sleepers) enqueue(ids []proto.RangeID) {
	var add []waking
	for _, id := range ids {
		if r := z.s.replica(id); r != nil {
			add = append(add, waking{r, r.turnToLead()})
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.waking = append(z.waking, add...)
	slices.SortStableFunc(z.waking, func(a, b waking) int { return cmp.Compare(uint(a.rank), uint(b.rank)) })
}

// turnToLead is the replica's rank after the leader it knew, without mu.
func (r *Replica) turnToLead() int {
	d := r.desc.Load()
	lead, _ := replicaOn(d, proto.NodeID(r.leaderNode.Load()))
	return rankOf(d, uint64(r.replicaID), uint64(lead))
}

// tick beats, and wakes who has no leader.
func (z *sleepers) tick() {
	now := z.s.opts.Now()
	behind := z.s.scheduler.behind()
	z.mu.Lock()
	z.ticks++
	to := z.kernel.Beat(now, z.expected)
	clear(z.expected)
	lost := map[proto.NodeID][]proto.RangeID{}
	for _, n := range to {
		lost[n] = z.kernel.Lost(n, now, offersPerTick)
	}
	var sleeping []liveness.Sleeping
	if z.ticks%strayTicks == 0 {
		sleeping = z.kernel.Sleeping()
	}
	alone := z.silentLocked(now)
	unanswered := z.kernel.Unanswered(now)
	// Who is woken while others wait for their turns only takes them away.
	n := min(len(z.waking), max(0, wakesPerTick-behind))
	if now < z.s.started.Add(2*z.s.opts.electionTimeout()+coldGrace) {
		n = 0 // leaders that live find who restarted first
	}
	due := z.waking[:n]
	if z.waking = z.waking[n:]; len(z.waking) == 0 {
		z.waking = nil
	}
	z.mu.Unlock()
	for _, n := range to {
		z.s.transport.Kick(n)
	}
	for node, ids := range lost {
		for _, id := range ids {
			if r := z.s.replica(id); r != nil {
				r.post(func() { r.offerTo(node) })
			} else {
				z.found(node, id)
			}
		}
	}
	for _, w := range due {
		w.r.post(w.r.wakeIfAlone)
	}
	for _, l := range sleeping {
		if !z.s.vouches(l) {
			z.rouse(l.Node, l.Range)
		}
	}
	z.enqueue(alone)
	if len(unanswered) > 0 && z.ticks%silentTicks == 0 {
		z.wakeLapsed(now)
	}
}

// silentLocked returns what slept under nodes that fell silent just now.
func (z *sleepers) silentLocked(now leaderlease.Nanos) (alone []proto.RangeID) {
	nodes := z.kernel.Silent(now)
	for n := range z.silent {
		if !slices.Contains(nodes, n) {
			delete(z.silent, n)
		}
	}
	for _, n := range nodes {
		if z.silent[n]++; z.silent[n]%strayTicks == silentTicks {
			alone = append(alone, z.kernel.Under(n)...)
		}
	}
	return alone
}

// wakeLapsed wakes leaders whose sleepers acknowledge nothing any more: they
// find a quorum, or step down and say so.
func (z *sleepers) wakeLapsed(now leaderlease.Nanos) {
	woken := 0
	for _, r := range z.s.all() {
		with := r.asleep.Load()
		if with == nil || now < z.leaseEnd(r.id, with, r.lease) {
			continue
		}
		r.post(r.wakeIfAlone)
		if woken++; woken == wakesPerTick {
			return
		}
	}
}

// vouches reports whether a range that sleeps on a node is led here in the term
// it believes in, and has a replica there.
func (s *Store) vouches(l liveness.Sleeping) bool {
	r := s.replica(l.Range)
	if r == nil || r.servingTerm.Load() != uint64(l.Term) {
		return false
	}
	_, member := replicaOn(r.desc.Load(), l.Node)
	return member
}

// startCold lets the replicas of a restarted node sleep until their leader, or a
// request, finds them: the others look for a leader a few per tick.
func (z *sleepers) startCold() {
	if !z.s.opts.hibernates() {
		return
	}
	var ids []proto.RangeID
	for _, r := range z.s.all() {
		if r.id == proto.RootRange || r.single() {
			continue
		}
		r.slumber.cold = true
		r.hibernating.Store(true)
		z.rest(r)
		ids = append(ids, r.id)
	}
	z.enqueue(ids)
}
