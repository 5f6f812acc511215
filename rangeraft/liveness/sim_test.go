package liveness

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// The simulation: three nodes, a few ranges with a voter on each, streams that
// delay and break, nodes that pause and restart. Raft is reduced to terms,
// votes, heartbeats and offers of sleep; logs are always equal. What is said of
// sleep takes effect at once, what is said to a replica waits for its turn.

const (
	simTimeout = time.Second
	simTick    = 100 * time.Millisecond
	simMs      = leaderlease.Nanos(time.Millisecond)
)

type note struct { // raft message
	kind string
	id   proto.RangeID
	from proto.NodeID
	term proto.Term
	beat leaderlease.ID
}

type frame struct {
	at     leaderlease.Nanos
	stream uint64
	notes  []note
	live   *pontoonpb.Liveness
}

type link struct {
	stream  uint64 // 0: broken
	fresh   bool
	queue   []note
	flying  []frame
	cutFrom leaderlease.Nanos
}

type simReplica struct {
	term    proto.Term
	voted   bool
	votes   int
	leads   bool
	asleep  bool         // as leader
	under   proto.NodeID // as follower
	lease   *leaderlease.Lease
	promise *leaderlease.Promise
	inbox   []note
	due     leaderlease.Nanos // campaign
	idle    int
	lastAck leaderlease.Nanos
}

type simNode struct {
	id     proto.NodeID
	boot   uint64
	kernel *Kernel
	ranges map[proto.RangeID]*simReplica
	paused leaderlease.Nanos
	next   leaderlease.Nanos // tick
}

type sim struct {
	rng     *rand.Rand
	now     leaderlease.Nanos
	nodes   []*simNode
	links   map[[2]proto.NodeID]*link
	streams uint64
	boots   uint64
	tamper  func(*pontoonpb.Liveness)
	// Planted faults.
	forgetful, oneStream bool

	slept   int
	woken   int
	leaders int
}

func newSim(seed uint64) *sim {
	s := &sim{rng: rand.New(rand.NewPCG(seed, 48)), now: 1, links: map[[2]proto.NodeID]*link{}, tamper: func(*pontoonpb.Liveness) {}}
	for i := range 3 {
		n := &simNode{id: proto.NodeID(i + 1), ranges: map[proto.RangeID]*simReplica{}}
		for r := range proto.RangeID(3) {
			n.ranges[r+1] = &simReplica{term: 5}
		}
		s.start(n, false)
		s.nodes = append(s.nodes, n)
	}
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			if a != b {
				s.links[[2]proto.NodeID{a.id, b.id}] = &link{}
			}
		}
	}
	return s
}

// start begins a process; terms and votes are on disk.
func (s *sim) start(n *simNode, bound bool) {
	s.boots++
	n.boot, n.kernel, n.next = s.boots, New(s.boots, simTimeout), s.now
	for id := proto.RangeID(1); id <= 3; id++ {
		r := n.ranges[id]
		n.ranges[id] = &simReplica{term: r.term, voted: r.voted,
			lease:   leaderlease.NewLease(proto.ReplicaID(n.id), leaderlease.Duration(simTimeout, simTick, 10)),
			promise: leaderlease.NewPromise(simTimeout, s.now, bound),
			due:     s.now + leaderlease.Nanos(s.rng.IntN(300))*simMs}
	}
}

func (s *sim) step() (twoLeases bool) {
	s.now += 5 * simMs
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			if a == b {
				continue
			}
			l := s.links[[2]proto.NodeID{a.id, b.id}]
			if l.stream == 0 && s.now > l.cutFrom && s.rng.IntN(20) == 0 {
				s.streams++
				l.stream, l.fresh = s.streams, true
			}
			s.deliver(b, a.id, l)
		}
	}
	for _, n := range s.nodes {
		if s.now < n.paused {
			continue
		}
		for id := range proto.RangeID(3) {
			if r := n.ranges[id+1]; len(r.inbox) > 0 && s.rng.IntN(3) > 0 {
				in := r.inbox
				r.inbox = nil
				for _, m := range in {
					s.hear(n, id+1, r, m)
				}
			}
		}
		if s.now >= n.next {
			n.next = s.now.Add(simTick)
			s.tick(n)
		}
	}
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			if a != b && s.now >= a.paused {
				s.flush(a, b.id)
			}
		}
	}
	s.trouble()
	return s.twoLeases()
}

func (s *sim) deliver(b *simNode, from proto.NodeID, l *link) {
	for len(l.flying) > 0 && l.flying[0].at <= s.now && s.now >= b.paused {
		f := l.flying[0]
		l.flying = l.flying[1:]
		for _, m := range f.notes {
			b.ranges[m.id].inbox = append(b.ranges[m.id].inbox, m)
		}
		if f.live == nil {
			continue
		}
		if s.oneStream {
			f.stream = 1
		}
		news := b.kernel.Take(from, f.stream, f.live, s.now)
		for _, id := range news.Woke {
			if r := b.ranges[id]; r.asleep {
				s.wake(b, id, r)
			}
		}
		for _, id := range append(news.Orphans, news.Roused...) {
			if r := b.ranges[id]; r.under == from {
				s.wake(b, id, r)
			}
		}
	}
}

func (s *sim) flush(a *simNode, to proto.NodeID) {
	l := s.links[[2]proto.NodeID{a.id, to}]
	if l.stream == 0 {
		l.queue = nil
		return
	}
	if len(l.queue) == 0 && !l.fresh && !a.kernel.Answers(to) && s.rng.IntN(4) > 0 {
		return
	}
	f := frame{at: s.now + leaderlease.Nanos(s.rng.IntN(150))*simMs, stream: l.stream, notes: l.queue, live: a.kernel.Message(to, l.fresh)}
	if f.live != nil {
		s.tamper(f.live)
	}
	if n := len(l.flying); n > 0 {
		f.at = max(f.at, l.flying[n-1].at)
	}
	l.queue, l.fresh = nil, false
	l.flying = append(l.flying, f)
}

func (s *sim) say(from *simNode, to proto.NodeID, m note) {
	m.from = from.id
	l := s.links[[2]proto.NodeID{from.id, to}]
	l.queue = append(l.queue, m)
}

func (s *sim) others(n *simNode) (ids []proto.NodeID) {
	for _, o := range s.nodes {
		if o != n {
			ids = append(ids, o.id)
		}
	}
	return ids
}

// wake is what rangeraft does.
func (s *sim) wake(n *simNode, id proto.RangeID, r *simReplica) {
	switch {
	case r.under != 0:
		if heard := n.kernel.Wake(r.under, id); heard != leaderlease.Never && !s.forgetful {
			r.promise.Heard(heard)
		}
		r.under = 0
	case r.asleep:
		s.vouch(n, id, r)
		r.asleep, r.idle, r.lastAck = false, 0, s.now
	}
	s.woken++
}

func (s *sim) vouch(n *simNode, id proto.RangeID, r *simReplica) {
	for _, o := range s.others(n) {
		if at := n.kernel.Covered(o, id, r.term); at != leaderlease.Never {
			r.lease.AckedAt(proto.ReplicaID(o), at)
		}
	}
}

func (s *sim) stepDown(n *simNode, id proto.RangeID, r *simReplica) {
	if r.asleep {
		s.wake(n, id, r)
	}
	if r.leads {
		r.leads = false
		r.lease.Follow()
		for _, o := range s.others(n) {
			n.kernel.Rouse(o, id)
		}
	}
}

func (s *sim) higher(n *simNode, id proto.RangeID, r *simReplica, term proto.Term) {
	if term > r.term {
		s.stepDown(n, id, r)
		r.term, r.voted, r.votes = term, false, 0
	}
}

func (s *sim) hear(n *simNode, id proto.RangeID, r *simReplica, m note) {
	switch m.kind {
	case "beat", "offer":
		if m.term < r.term {
			s.say(n, m.from, note{kind: "higher", id: id, term: r.term})
			return
		}
		if r.under != 0 && (m.kind == "beat" || m.term != r.term) {
			s.wake(n, id, r)
		}
		s.higher(n, id, r, m.term)
		r.promise.Heard(s.now)
		s.say(n, m.from, note{kind: "resp", id: id, term: r.term, beat: m.beat})
		if m.kind == "offer" && !r.leads {
			r.promise.Heard(s.now)
			r.under = m.from
			n.kernel.Sleep(m.from, id, r.term)
		}
	case "resp":
		if r.leads && m.term == r.term {
			r.lease.Acked(proto.ReplicaID(m.from), m.beat)
			r.lastAck = s.now
		}
	case "higher":
		s.higher(n, id, r, m.term)
	case "ask":
		if r.under != 0 {
			if s.now < n.kernel.Heard(r.under).Add(simTimeout) && !s.forgetful {
				return // P3
			}
			s.wake(n, id, r)
		}
		if !r.promise.Free(s.now) || r.leads {
			if r.asleep {
				s.wake(n, id, r)
			}
			return
		}
		s.higher(n, id, r, m.term)
		if m.term == r.term && !r.voted {
			r.voted, r.due = true, s.now.Add(simTimeout/2)
			s.say(n, m.from, note{kind: "vote", id: id, term: r.term})
		}
	case "vote":
		if m.term == r.term && !r.leads && r.votes > 0 {
			if r.votes++; r.votes == 2 {
				r.leads, r.idle, r.lastAck = true, 0, s.now
				r.lease.Lead(r.term, leaderlease.Voters{{1, 2, 3}})
				s.leaders++
			}
		}
	}
}

func (s *sim) tick(n *simNode) {
	extra := map[proto.NodeID]struct{}{}
	for id := range proto.RangeID(3) {
		s.tickRange(n, id+1, n.ranges[id+1], extra)
	}
	n.kernel.Beat(s.now, extra)
	for _, silent := range n.kernel.Silent(s.now) {
		for _, id := range n.kernel.Under(silent) {
			if r := n.ranges[id]; r.under == silent {
				s.wake(n, id, r)
				r.due = s.now + leaderlease.Nanos(s.rng.IntN(100))*simMs
			}
		}
	}
	for _, l := range n.kernel.Sleeping() {
		if r := n.ranges[l.Range]; !r.leads || r.term != l.Term {
			n.kernel.Rouse(l.Node, l.Range)
		}
	}
	for _, o := range s.others(n) {
		for _, id := range n.kernel.Lost(o, s.now, 10) {
			if r := n.ranges[id]; r.asleep {
				s.say(n, o, note{kind: "offer", id: id, term: r.term, beat: r.lease.Sent(s.now)})
			} else {
				n.kernel.Found(o, id)
			}
		}
	}
}

func (s *sim) tickRange(n *simNode, id proto.RangeID, r *simReplica, extra map[proto.NodeID]struct{}) {
	switch {
	case r.leads && r.asleep:
		s.vouch(n, id, r)
		if s.rng.IntN(40) == 0 || !r.lease.Valid(s.now) {
			s.wake(n, id, r)
		}
	case r.leads:
		if s.now > r.lastAck.Add(simTimeout) {
			s.stepDown(n, id, r)
			return
		}
		kind := "beat"
		if r.idle++; r.idle > 5 {
			kind = "offer"
			all := true
			for _, o := range s.others(n) {
				extra[o] = struct{}{}
				all = all && n.kernel.Covered(o, id, r.term) != leaderlease.Never
			}
			if all {
				r.asleep = true
				s.slept++
				return
			}
			if r.idle > 15 {
				r.idle = 0
			}
		}
		beat := r.lease.Sent(s.now)
		for _, o := range s.others(n) {
			s.say(n, o, note{kind: kind, id: id, term: r.term, beat: beat})
		}
	case r.under != 0 && s.rng.IntN(80) == 0:
		s.wake(n, id, r)
	case r.under == 0 && r.promise.Free(s.now) && s.now >= r.due:
		r.due = s.now + leaderlease.Nanos(200+s.rng.IntN(400))*simMs
		r.term, r.voted, r.votes = r.term+1, true, 1
		for _, o := range s.others(n) {
			s.say(n, o, note{kind: "ask", id: id, term: r.term})
		}
	}
}

// trouble breaks streams in one direction, pauses and restarts nodes.
func (s *sim) trouble() {
	a := s.nodes[s.rng.IntN(3)]
	switch b := s.nodes[s.rng.IntN(3)]; s.rng.IntN(1500) {
	case 0, 1:
		s.cut(a, b, leaderlease.Nanos(s.rng.IntN(1000))*simMs)
	case 2:
		long := leaderlease.Nanos(s.rng.IntN(8000)) * simMs
		s.cut(a, b, long)
		s.cut(b, a, long)
	case 3:
		a.paused = s.now + leaderlease.Nanos(s.rng.IntN(2500))*simMs
	case 4:
		s.start(a, true)
		for k, l := range s.links {
			if k[0] == a.id || k[1] == a.id {
				l.stream, l.queue = 0, nil
				if k[1] == a.id {
					l.flying = nil
				}
			}
		}
	}
}

// cut breaks the stream from a to b; some of what is on its way is lost.
func (s *sim) cut(a, b *simNode, long leaderlease.Nanos) {
	if a == b {
		return
	}
	l := s.links[[2]proto.NodeID{a.id, b.id}]
	l.flying = l.flying[:s.rng.IntN(len(l.flying)+1)]
	l.stream, l.queue, l.cutFrom = 0, nil, s.now+long
}

func (s *sim) twoLeases() bool {
	for id := range proto.RangeID(3) {
		valid := 0
		for _, n := range s.nodes {
			r := n.ranges[id+1]
			if !r.leads {
				continue
			}
			if r.asleep {
				s.vouch(n, id+1, r)
			}
			if r.lease.Valid(s.now) {
				valid++
			}
		}
		if valid > 1 {
			return true
		}
	}
	return false
}

// run plays a while; it returns when two leases were valid at once, 0 if never.
func (s *sim) run(steps int) leaderlease.Nanos {
	for range steps {
		if s.step() {
			return s.now
		}
	}
	return 0
}

// P48, P3: whatever streams and nodes do, never are two leader leases of a range
// valid at once.
func TestNeverTwoLeases_P48(t *testing.T) {
	slept, woken, leaders := 0, 0, 0
	for seed := range uint64(100) {
		s := newSim(seed)
		if at := s.run(12_000); at != 0 {
			t.Fatalf("seed %d: two leases at %v", seed, time.Duration(at))
		}
		slept, woken, leaders = slept+s.slept, woken+s.woken, leaders+s.leaders
	}
	t.Log("slept", slept, "woken", woken, "leaderships", leaders)
	if slept < 1000 || leaders < 300 {
		t.Errorf("the simulation hardly slept (%d) or elected (%d)", slept, leaders)
	}
}

// Each rule, broken by hand, is missed.
func TestPlantedFaultsAreFound_P48(t *testing.T) {
	for name, plant := range map[string]func(*sim){
		"I2 a beat renews no promise":   func(s *sim) { s.forgetful = true },
		"I3 a wake is not said":         func(s *sim) { s.tamper = func(m *pontoonpb.Liveness) { m.Wake = nil } },
		"I4 streams are not told apart": func(s *sim) { s.oneStream = true },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(400) {
				s := newSim(seed)
				plant(s)
				if s.run(12_000) != 0 {
					t.Log("found with seed", seed)
					return
				}
			}
			t.Fatal("not found")
		})
	}
}
