package merge

import (
	"cmp"
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
)

// Kind says what an Item tells the client.
type Kind int

// The kinds of items.
const (
	Created   Kind = iota // watch created; Revision is the header's
	Refused               // created and canceled at once, Reason says why
	Canceled              // canceled by the client
	Compacted             // canceled; Revision is the compaction floor
	Events                // Changes, whole revisions
	Progress              // nothing at or below Revision follows; ID -1: for all watchers
)

// AllWatchers is the id of a progress answer for a whole stream.
const AllWatchers int64 = -1

// Item is one response in a group's queue.
type Item struct {
	Kind     Kind
	Watcher  *Watcher // nil for Refused and Progress of all
	ID       int64
	Revision proto.Revision
	Changes  []*Change
	Reason   string
	cost     int
}

// wait is a progress answer that is due once enough is emitted.
type wait struct {
	rev proto.Revision
	w   *Watcher // nil: all
}

// maxWaits bounds the progress requests that a client can pile up.
const maxWaits = 64

// Group is one client stream: its watchers and the queue of what it is told.
type Group struct {
	seq      uint64
	watchers map[int64]*Watcher
	nextID   int64
	covers   map[*cover]int
	live     int
	dead     int

	out      []Item
	outBytes int
	waits    []wait
	told     proto.Revision // highest revision of any event or progress queued
	toldAll  proto.Revision // of any progress for all
	closed   bool

	// Tag belongs to the driver.
	Tag any
}

// NewGroup returns a group for a stream.
func (m *Mux) NewGroup() *Group {
	m.nextGroup++
	return &Group{seq: m.nextGroup, watchers: map[int64]*Watcher{}, covers: map[*cover]int{}}
}

// CloseGroup ends all watchers of a stream that is over.
func (m *Mux) CloseGroup(g *Group) {
	g.closed = true
	for _, w := range g.watchers {
		m.leave(w)
		w.gone = true
	}
	g.watchers, g.out, g.waits, g.outBytes = map[int64]*Watcher{}, nil, nil, 0
	delete(m.askers, g)
}

// Len returns the number of watchers.
func (g *Group) Len() int { return len(g.watchers) }

// Backlog returns what the queue costs, in bytes.
func (g *Group) Backlog() int { return g.outBytes }

func (g *Group) assign(id int64) (int64, error) {
	if id != 0 {
		if g.watchers[id] != nil {
			return 0, ErrDuplicateID
		}
		return id, nil
	}
	for g.watchers[g.nextID] != nil {
		g.nextID++
	}
	g.nextID++
	return g.nextID - 1, nil
}

// Refuse queues the answer to a create that failed.
func (m *Mux) Refuse(g *Group, reason string, now proto.Revision) {
	m.queue(g, Item{Kind: Refused, ID: AllWatchers, Revision: now, Reason: reason})
}

// queue appends an item whatever the backlog; only events ask for room.
func (m *Mux) queue(g *Group, it Item) {
	if g.closed {
		return
	}
	it.cost = 128
	for _, c := range it.Changes {
		it.cost += c.size()
	}
	g.out = append(g.out, it)
	g.outBytes += it.cost
	m.woken[g] = struct{}{}
}

// Take removes the first items of the queue, at least one if there is any and
// no more than maxBytes or n otherwise.
func (m *Mux) Take(g *Group, n, maxBytes int) []Item {
	i, size := 0, 0
	for i < len(g.out) && i < n && (i == 0 || size+g.out[i].cost <= maxBytes) {
		size += g.out[i].cost
		i++
	}
	items := slices.Clone(g.out[:i])
	clear(g.out[:i])
	if g.out = g.out[i:]; len(g.out) == 0 {
		g.out = nil
	}
	g.outBytes -= size
	return items
}

// Room reports whether events may be queued for the group.
func (m *Mux) Room(g *Group) bool { return g.outBytes < m.limits.GroupBytes }

// AskProgress is the client's progress request at the revision now, taken
// after the request arrived. False: etcd would stay silent, and so does the
// group (quirk 33). Otherwise the answer is queued once every watcher has
// everything up to it (P26).
func (m *Mux) AskProgress(g *Group, now proto.Revision) bool {
	if len(g.watchers) == 0 {
		return false
	}
	for _, w := range g.watchers {
		if w.dead || !w.synced || now < w.Spec.Start {
			return false
		}
	}
	if len(g.waits) >= maxWaits {
		g.waits = g.waits[1:] // a later one covers it
	}
	g.waits = append(g.waits, wait{rev: now})
	m.askers[g] = struct{}{}
	m.answer(g)
	return true
}

// TickProgress is the periodic tick at the revision now: watchers that asked
// for notices and saw no event since the last tick get one.
func (m *Mux) TickProgress(g *Group, now proto.Revision) {
	if !m.Room(g) {
		return // a client that does not read wants no more of them
	}
	ws := make([]*Watcher, 0, len(g.watchers))
	for _, w := range g.watchers {
		if !w.Spec.Progress || w.dead {
			continue
		}
		if w.quiet && w.Live() && now >= w.Spec.Start {
			ws = append(ws, w)
		}
		w.quiet = true
	}
	slices.SortFunc(ws, func(a, b *Watcher) int { return cmp.Compare(a.seq, b.seq) })
	for _, w := range ws {
		if !slices.ContainsFunc(g.waits, func(o wait) bool { return o.w == w }) {
			g.waits = append(g.waits, wait{rev: now, w: w})
		}
	}
	if len(g.waits) > 0 {
		m.askers[g] = struct{}{}
		m.answer(g)
	}
}

// Ticks reports whether the group has watchers that want periodic notices.
func (g *Group) Ticks() bool {
	for _, w := range g.watchers {
		if w.Spec.Progress {
			return true
		}
	}
	return false
}

// answer queues the progress answers that have become true (I4).
func (m *Mux) answer(g *Group) {
	if len(g.waits) == 0 {
		return
	}
	left := g.waits[:0]
	for _, a := range g.waits {
		if a.w == nil && len(g.watchers) == g.dead || a.w != nil && a.w.Over() {
			continue
		}
		target, ready := g.target(a)
		if !ready {
			left = append(left, a)
			continue
		}
		it := Item{Kind: Progress, Watcher: a.w, ID: AllWatchers, Revision: target}
		if a.w != nil {
			it.ID = a.w.ID
		} else {
			g.toldAll = target
		}
		g.told = max(g.told, target)
		m.queue(g, it)
	}
	clear(g.waits[len(left):])
	if g.waits = left; len(left) == 0 {
		delete(m.askers, g)
	}
}

// target returns the revision that an answer must name: not below what was
// asked for nor below an event or notice already queued, or the client's
// position would fall. Ready: everything at or below it is queued.
func (g *Group) target(a wait) (proto.Revision, bool) {
	if a.w != nil {
		t := max(a.rev, a.w.lastEvent, g.toldAll)
		return t, a.w.Live() && a.w.cover.resolved >= t
	}
	t := max(a.rev, g.told)
	if g.live != len(g.watchers)-g.dead {
		return t, false
	}
	for c := range g.covers {
		if c.resolved < t {
			return t, false
		}
	}
	return t, true
}
