package liveness

import (
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// Kernel is one node's part in all its pairs (P48).
type Kernel struct {
	boot    uint64
	timeout time.Duration
	pairs   map[proto.NodeID]*pair
}

// New returns the kernel of a process. timeout is the election timeout of the
// ranges that may sleep.
func New(boot uint64, timeout time.Duration) *Kernel {
	return &Kernel{boot: boot, timeout: timeout, pairs: map[proto.NodeID]*pair{}}
}

// pair is this node and one other.
type pair struct {
	leads
	follows
	stream uint64 // newest incoming one
	live   bool   // it has not ended
	rouse  map[proto.RangeID]struct{}
}

// leads is for ranges led here.
type leads struct {
	sent   []leaderlease.Nanos // sent[i] is the send time of beat first+i
	first  uint64
	acked  leaderlease.Nanos                   // send time of the newest acknowledged beat
	asleep map[proto.RangeID]proto.Term        // as the peer says in the current stream
	lost   map[proto.RangeID]leaderlease.Nanos // to be offered sleep again, when
}

// follows is for ranges led there.
type follows struct {
	boot   uint64            // of the peer's process that beats
	beat   uint64            // newest taken in
	heard  leaderlease.Nanos // when
	sleeps map[proto.RangeID]proto.Term
	told   map[proto.RangeID]proto.Term
	dirty  map[proto.RangeID]struct{}
	unsaid bool // the newest beat is not acknowledged yet
}

// keptBeats bounds the remembered send times; an acknowledgement of an older
// beat is too old to matter.
const keptBeats = 256

func (k *Kernel) pair(n proto.NodeID) *pair {
	p := k.pairs[n]
	if p == nil {
		p = &pair{
			leads: leads{first: 1, acked: leaderlease.Never,
				asleep: map[proto.RangeID]proto.Term{}, lost: map[proto.RangeID]leaderlease.Nanos{}},
			follows: follows{heard: leaderlease.Never, sleeps: map[proto.RangeID]proto.Term{},
				told: map[proto.RangeID]proto.Term{}, dirty: map[proto.RangeID]struct{}{}},
			rouse: map[proto.RangeID]struct{}{},
		}
		k.pairs[n] = p
	}
	return p
}

// Beat starts a beat to every node with sleepers under leaders here, and to
// those in extra, which are about to have some. It returns whom: a message to
// them is to be made at now or later.
func (k *Kernel) Beat(now leaderlease.Nanos, extra map[proto.NodeID]struct{}) (to []proto.NodeID) {
	for n := range extra {
		k.pair(n)
	}
	for n, p := range k.pairs {
		_, wanted := extra[n]
		if !wanted && len(p.asleep) == 0 && len(p.lost) == 0 {
			continue
		}
		if len(p.sent) == keptBeats {
			p.sent = slices.Delete(p.sent, 0, keptBeats/2)
			p.first += keptBeats / 2
		}
		p.sent = append(p.sent, now)
		to = append(to, n)
	}
	return to
}

// Message returns what the stream to a node says next, nil for nothing. fresh:
// the stream is new (I4).
func (k *Kernel) Message(to proto.NodeID, fresh bool) *pontoonpb.Liveness {
	p := k.pairs[to]
	if p == nil {
		return nil
	}
	if fresh {
		clear(p.told)
		clear(p.dirty)
		for id := range p.sleeps {
			p.dirty[id] = struct{}{}
		}
		p.unsaid = p.beat > 0
	}
	m := &pontoonpb.Liveness{Boot: k.boot}
	if len(p.sent) > 0 {
		m.Beat = p.first + uint64(len(p.sent)) - 1
	}
	for id := range p.dirty {
		want, in := p.sleeps[id]
		known, told := p.told[id]
		if told && (!in || known != want) {
			m.Wake = append(m.Wake, uint64(id))
			delete(p.told, id)
		}
		if in && (!told || known != want) {
			m.Sleep = append(m.Sleep, &pontoonpb.Sleeper{RangeId: uint64(id), Term: uint64(want)})
			p.told[id] = want
		}
	}
	for id := range p.rouse {
		m.Rouse = append(m.Rouse, uint64(id))
	}
	clear(p.dirty)
	clear(p.rouse)
	m.AckBoot, m.Ack = p.boot, p.beat // after the wakes were read (I3)
	p.unsaid = false
	return m
}

// Answers reports whether a message to the node would acknowledge something or
// say who sleeps or woke.
func (k *Kernel) Answers(to proto.NodeID) bool {
	p := k.pairs[to]
	return p != nil && (p.unsaid || len(p.dirty) > 0 || len(p.rouse) > 0)
}

// News is what follows from a message.
type News struct {
	Woke    []proto.RangeID // slept there under a leader here
	Slept   []proto.RangeID // sleep there now
	Orphans []proto.RangeID // slept here; their leader's process is gone
	Roused  []proto.RangeID // shall sleep here no more
}

// Take takes in a message of a stream, which is a number that rises with every
// new incoming stream.
func (k *Kernel) Take(from proto.NodeID, stream uint64, m *pontoonpb.Liveness, now leaderlease.Nanos) (news News) {
	p := k.pair(from)
	if stream < p.stream {
		return News{} // I4
	}
	if stream > p.stream {
		p.stream, p.live = stream, true
		p.forget()
	}
	for _, w := range m.Wake {
		id := proto.RangeID(w)
		if _, ok := p.asleep[id]; ok {
			delete(p.asleep, id)
			news.Woke = append(news.Woke, id)
		}
	}
	for _, s := range m.Sleep {
		id := proto.RangeID(s.RangeId)
		p.asleep[id] = proto.Term(s.Term)
		delete(p.lost, id)
		news.Slept = append(news.Slept, id)
	}
	p.ackedUpTo(k.boot, m)
	if m.Boot != p.boot { // I5
		for id := range p.sleeps {
			news.Orphans = append(news.Orphans, id)
		}
		p.boot, p.beat = m.Boot, 0
	}
	if m.Beat > p.beat {
		p.beat, p.heard, p.unsaid = m.Beat, now, true
	}
	for _, r := range m.Rouse {
		if _, ok := p.sleeps[proto.RangeID(r)]; ok {
			news.Roused = append(news.Roused, proto.RangeID(r))
		}
	}
	slices.Sort(news.Orphans)
	return news
}

func (l *leads) ackedUpTo(boot uint64, m *pontoonpb.Liveness) {
	if m.AckBoot != boot || m.Ack < l.first || m.Ack >= l.first+uint64(len(l.sent)) { // I5
		return
	}
	l.acked = max(l.acked, l.sent[m.Ack-l.first])
}

// forget ends what a stream said (I4).
func (l *leads) forget() {
	for id := range l.asleep {
		l.lost[id] = 0
	}
	clear(l.asleep)
}

// Ended follows the end of an incoming stream.
func (k *Kernel) Ended(from proto.NodeID, stream uint64) {
	if p := k.pairs[from]; p != nil && p.stream == stream {
		p.live = false
		p.forget()
	}
}

// Covered returns the send time of the newest beat that the node acknowledged
// for the range, Never if it does not sleep there under this term (I1).
func (k *Kernel) Covered(node proto.NodeID, id proto.RangeID, term proto.Term) leaderlease.Nanos {
	p := k.pairs[node]
	if p == nil {
		return leaderlease.Never
	}
	if t, ok := p.asleep[id]; !ok || t != term {
		return leaderlease.Never
	}
	return p.acked
}

// Lost returns up to n ranges that slept on the node in a stream that ended,
// have not been heard of since and are to be offered sleep again: each once in
// an election timeout, and only while the node can answer.
func (k *Kernel) Lost(node proto.NodeID, now leaderlease.Nanos, n int) (ids []proto.RangeID) {
	p := k.pairs[node]
	if p == nil || !p.live {
		return nil
	}
	for id, at := range p.lost {
		if len(ids) == n {
			break
		}
		if at <= now {
			ids = append(ids, id)
			p.lost[id] = now.Add(k.timeout)
		}
	}
	return ids
}

// Found ends the search for a range that does not sleep any more here.
func (k *Kernel) Found(node proto.NodeID, id proto.RangeID) {
	if p := k.pairs[node]; p != nil {
		delete(p.lost, id)
	}
}

// Sleep notes that the range sleeps here under a leader there. The caller
// renews its promise at the same time (I2).
func (k *Kernel) Sleep(leader proto.NodeID, id proto.RangeID, term proto.Term) {
	p := k.pair(leader)
	if t, ok := p.sleeps[id]; ok && t == term {
		return
	}
	p.sleeps[id] = term
	p.dirty[id] = struct{}{}
}

// Wake ends it and returns when the leader's node was heard last: the promise
// holds for an election timeout from then (I2).
func (k *Kernel) Wake(leader proto.NodeID, id proto.RangeID) leaderlease.Nanos {
	p := k.pairs[leader]
	if p == nil {
		return leaderlease.Never
	}
	if _, ok := p.sleeps[id]; ok {
		delete(p.sleeps, id)
		p.dirty[id] = struct{}{}
	}
	return p.heard
}

// Heard returns when a node beat last, Never if it did not in this process.
func (k *Kernel) Heard(node proto.NodeID) leaderlease.Nanos {
	if p := k.pairs[node]; p != nil {
		return p.heard
	}
	return leaderlease.Never
}

// Silent returns the nodes under which ranges sleep here and that have not
// beaten for an election timeout.
func (k *Kernel) Silent(now leaderlease.Nanos) (nodes []proto.NodeID) {
	for n, p := range k.pairs {
		if len(p.sleeps) > 0 && now >= p.heard.Add(k.timeout) {
			nodes = append(nodes, n)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// Unanswered returns the nodes on which ranges led here sleep and that have
// acknowledged nothing for an election timeout.
func (k *Kernel) Unanswered(now leaderlease.Nanos) (nodes []proto.NodeID) {
	for n, p := range k.pairs {
		if len(p.asleep) > 0 && now >= p.acked.Add(k.timeout) {
			nodes = append(nodes, n)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// Under returns the ranges that sleep here under a leader there.
func (k *Kernel) Under(leader proto.NodeID) (ids []proto.RangeID) {
	if p := k.pairs[leader]; p != nil {
		for id := range p.sleeps {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Rouse makes the next message to the node tell it that the range shall not
// sleep any more (I6).
func (k *Kernel) Rouse(node proto.NodeID, id proto.RangeID) {
	p := k.pair(node)
	if _, ok := p.asleep[id]; ok {
		p.rouse[id] = struct{}{}
	}
}

// Sleeping is a range that sleeps somewhere under a leader here.
type Sleeping struct {
	Node  proto.NodeID
	Range proto.RangeID
	Term  proto.Term
}

// Sleeping returns all of them, so that strays can be roused (I6).
func (k *Kernel) Sleeping() (all []Sleeping) {
	for n, p := range k.pairs {
		for id, term := range p.asleep {
			all = append(all, Sleeping{n, id, term})
		}
	}
	return all
}
