package merge

import (
	"cmp"
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Limits bound what waits. Zero values mean the defaults.
type Limits struct {
	PartBytes    int // delivered, above a part's closed. 16 MiB
	PendingBytes int // the same of all parts together. 256 MiB
	RecentBytes  int // released, kept per part so that watchers join without history. 256 KiB
	RecentTotal  int // divided by the number of parts, where that is less. 64 MiB
	WatcherBytes int // released, above a watcher's resolved. 4 MiB
	GroupBytes   int // queued for one client stream. 32 MiB
	// HistoricRevisions is the most whole revisions in one response of
	// history. 1000, as in etcd.
	HistoricRevisions int
}

func (l Limits) withDefaults() Limits {
	l.PartBytes = cmp.Or(l.PartBytes, 16<<20)
	l.PendingBytes = cmp.Or(l.PendingBytes, 256<<20)
	l.RecentBytes = cmp.Or(l.RecentBytes, 256<<10)
	l.RecentTotal = cmp.Or(l.RecentTotal, 64<<20)
	l.WatcherBytes = cmp.Or(l.WatcherBytes, 4<<20)
	l.GroupBytes = cmp.Or(l.GroupBytes, 32<<20)
	l.HistoricRevisions = cmp.Or(l.HistoricRevisions, 1000)
	return l
}

// Mux is the kernel's state: all parts, watchers and groups of one gateway.
type Mux struct {
	limits Limits
	parts  parts
	covers map[string]*cover
	index  index

	waiting map[*cover]struct{} // covers in which something is held
	askers  map[*Group]struct{} // groups with progress answers due
	woken   map[*Group]struct{} // groups whose queue grew
	spilled []*Watcher          // live watchers that must catch up
	pending int                 // bytes of all parts' pending

	nextPart, nextWatcher, nextGroup uint64

	matches []*Watcher // scratch
	touched []*Watcher // scratch
}

// New returns an empty Mux.
func New(limits Limits) *Mux {
	return &Mux{
		limits: limits.withDefaults(), covers: map[string]*cover{},
		waiting: map[*cover]struct{}{}, askers: map[*Group]struct{}{}, woken: map[*Group]struct{}{},
	}
}

// Output is what the driver has to do after a call.
type Output struct {
	Woken   []*Group   // have something to send
	Spilled []*Watcher // were live and must catch up from Next
}

// Drain returns and clears the output of the calls before.
func (m *Mux) Drain() Output {
	o := Output{Spilled: m.spilled}
	m.spilled = nil
	for g := range m.woken {
		o.Woken = append(o.Woken, g)
	}
	clear(m.woken)
	slices.SortFunc(o.Woken, func(a, b *Group) int { return cmp.Compare(a.seq, b.seq) })
	return o
}

// Deliver takes events of the part's feed, in any order between checkpoints.
func (m *Mux) Deliver(p *Part, changes []*Change) {
	if p.removed || p.lossy {
		return
	}
	for _, c := range changes {
		if c.Rev <= p.closed {
			continue // P24: seen before the feed was re-homed
		}
		p.pending = append(p.pending, c)
		p.pendingBytes += c.size()
		m.pending += c.size()
		p.pendingHigh = max(p.pendingHigh, c.Rev)
	}
	if p.pendingBytes > 0 && (p.pendingBytes > m.limits.PartBytes || m.pending > m.limits.PendingBytes) { // P27
		m.discard(p)
		p.lossy = true
	}
}

// Checkpoint takes a checkpoint of the part's feed: it releases everything at
// or below closed, unless some key of the part is not in its span (P22).
func (m *Mux) Checkpoint(p *Part, c *pontoonpb.Checkpoint) {
	closed := proto.Revision(c.Closed)
	if p.removed || p.lossy || closed <= p.closed || !proto.SpanOf(c.Span).Covers(p.span) {
		return
	}
	before := p.pendingBytes
	ready := p.take(closed)
	m.pending -= before - p.pendingBytes
	m.release(p, ready, closed)
}

// Page brings a lossy part further with a page of history: everything in the
// part above closed up to covered.
func (m *Mux) Page(p *Part, changes []*Change, covered proto.Revision) {
	if p.removed || covered <= p.closed {
		return
	}
	changes = slices.DeleteFunc(slices.Clone(changes), func(c *Change) bool { return c.Rev <= p.closed || c.Rev > covered })
	sortChanges(changes)
	m.release(p, changes, covered)
}

// release hands the part's changes up to closed to their watchers (I1).
func (m *Mux) release(p *Part, ready []*Change, closed proto.Revision) {
	old := p.closed
	for i := 0; i < len(ready); {
		j := nextRun(ready, i)
		for _, c := range ready[i:j] {
			m.matches = m.index.match(c.key(), m.matches[:0])
			for _, w := range m.matches {
				m.offer(w, c)
			}
		}
		m.flush()
		i = j
	}
	p.closed = closed
	p.remember(ready, min(m.limits.RecentBytes, m.limits.RecentTotal/len(m.parts)))
	m.raiseAll(p, old)
}

// raiseAll raises the covers that a part at old may have held back.
func (m *Mux) raiseAll(p *Part, old proto.Revision) {
	risen := make([]*cover, 0, len(p.covers))
	for c := range p.covers {
		if c.resolved >= old {
			risen = append(risen, c)
		}
	}
	slices.SortFunc(risen, func(a, b *cover) int { return cmp.Compare(a.key, b.key) })
	for _, c := range risen {
		m.raise(c)
	}
	if len(risen) > 0 {
		for g := range m.askers {
			m.answer(g)
		}
	}
}

// offer gives a released change to a watcher of its key.
func (m *Mux) offer(w *Watcher, c *Change) {
	if w.cover == nil || !w.wants(c) {
		return
	}
	if !w.joining && w.cover.single() {
		if len(w.run) == 0 {
			m.touched = append(m.touched, w)
		}
		w.run = append(w.run, c)
		return
	}
	m.hold(w, c)
}

// flush emits the revision that watchers inside one part just got.
func (m *Mux) flush() {
	for _, w := range m.touched {
		run := w.run
		w.run = nil
		if w.cover != nil && !m.emit(w, run[0].Rev, run) {
			m.spill(w, run[0].Rev)
		}
	}
	m.touched = m.touched[:0]
}

// hold keeps a change until resolved or the watcher's history reaches it.
func (m *Mux) hold(w *Watcher, c *Change) {
	if w.heldBytes+c.size() > m.limits.WatcherBytes && len(w.held) > 0 {
		next := w.next
		if !w.joining {
			next = max(next, w.cover.resolved+1)
		}
		m.spill(w, next) // P27
		return
	}
	w.held = append(w.held, c)
	w.heldBytes += c.size()
	w.heldHigh = max(w.heldHigh, c.Rev)
	m.wait(w)
}

// drain emits what a watcher holds at or below resolved, a response for each
// revision.
func (m *Mux) drain(w *Watcher) {
	if w.cover == nil || w.joining {
		return
	}
	ready := m.unhold(w)
	for i := 0; i < len(ready); {
		j := nextRun(ready, i)
		if !m.emit(w, ready[i].Rev, ready[i:j:j]) {
			m.spill(w, ready[i].Rev)
			return
		}
		i = j
	}
}

// unhold removes and returns, in order, what is held at or below resolved.
func (m *Mux) unhold(w *Watcher) []*Change {
	sortChanges(w.held)
	n := cutAbove(w.held, w.cover.resolved)
	ready := w.held[:n:n]
	w.held = append([]*Change(nil), w.held[n:]...)
	for _, c := range ready {
		w.heldBytes -= c.size()
	}
	if len(w.held) == 0 {
		w.heldHigh = 0
		delete(w.cover.waiting, w)
	}
	return ready
}

// emit queues a response with whole revisions; false: the stream has no room.
// History comes under the header of the time when it was read, which live
// changes may have to reach first: headers never go back.
func (m *Mux) emit(w *Watcher, header proto.Revision, changes []*Change) bool {
	if !m.Room(w.group) {
		return false
	}
	last := changes[len(changes)-1].Rev
	w.header = max(w.header, header)
	m.queue(w.group, Item{Kind: Events, Watcher: w, ID: w.ID, Revision: w.header, Changes: changes})
	w.next, w.lastEvent, w.quiet = last+1, last, false
	w.group.told = max(w.group.told, last)
	return true
}

// spill takes a watcher away from its parts: everything below next is queued,
// it catches up from there.
func (m *Mux) spill(w *Watcher, next proto.Revision) {
	live := w.Live()
	m.leave(w)
	w.next, w.historic = next, true
	if live {
		m.spilled = append(m.spilled, w)
	}
}

// leave undoes Join.
func (m *Mux) leave(w *Watcher) {
	if w.cover == nil {
		return
	}
	if w.Live() {
		w.group.live--
	}
	m.index.remove(w)
	m.leaveCover(w)
	w.joining, w.run, w.held, w.heldBytes, w.heldHigh = false, nil, nil, 0, 0
}

// Waiting returns the highest revision up to which ranges must close for what
// is held by covers of several parts and for progress answers; 0: none waits.
func (m *Mux) Waiting() proto.Revision {
	var high proto.Revision
	for c := range m.waiting {
		if c.high > c.resolved {
			high = max(high, c.high)
		}
	}
	for g := range m.askers {
		for _, a := range g.waits {
			t, _ := g.target(a)
			high = max(high, t)
		}
	}
	return high
}

// Pending returns the highest revision that some part was given and that is
// not closed there; 0: none.
func (m *Mux) Pending() proto.Revision {
	var high proto.Revision
	for _, p := range m.parts {
		if len(p.pending) > 0 || p.lossy {
			high = max(high, p.pendingHigh)
		}
	}
	return high
}
