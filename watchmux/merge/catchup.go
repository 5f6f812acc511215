package merge

import "github.com/pontoon-kv/pontoon/proto"

// Need is a piece of history that a joining watcher lacks: all changes in Span
// with From <= revision <= To.
type Need struct {
	Span     proto.Span
	From, To proto.Revision
}

// Join lets a watcher have what its parts release from now on, and returns the
// history it lacks between its next revision and that. With nothing lacking it
// is live at once; otherwise what is released is held until Finish. now is the
// header of responses of history. ok is false if some key has no part.
func (m *Mux) Join(w *Watcher, now proto.Revision) (needs []Need, ok bool) {
	m.leave(w) // joining again starts over
	c := m.coverOf(w.span)
	if c == nil {
		return nil, false
	}
	w.joining = true
	for _, p := range c.parts {
		switch {
		case p.closed < w.next:
		case p.recentBase < w.next:
			for _, ch := range p.recent {
				if w.watches(ch.key()) && w.wants(ch) {
					w.held = append(w.held, ch)
					w.heldBytes += ch.size()
					w.heldHigh = max(w.heldHigh, ch.Rev)
				}
			}
		default:
			needs = append(needs, Need{Span: p.span.Intersect(w.span), From: w.next, To: p.closed})
		}
	}
	m.index.add(w)
	m.enterCover(w, c)
	if len(needs) == 0 {
		m.Finish(w, nil, now)
	}
	return needs, true
}

// Finish gives a joining watcher all the history that Join said it lacked. It
// is live afterwards, unless the stream had no room or what it would hold
// above resolved is too much: then it is not joined any more and catches up
// from Next.
func (m *Mux) Finish(w *Watcher, changes []*Change, now proto.Revision) bool {
	if w.cover == nil || !w.joining {
		return false
	}
	for _, c := range changes {
		if w.watches(c.key()) && w.wants(c) {
			w.held = append(w.held, c)
			w.heldBytes += c.size()
			w.heldHigh = max(w.heldHigh, c.Rev)
		}
	}
	if w.historic {
		if !m.emitHistory(w, m.unhold(w), now) {
			m.leave(w)
			return false
		}
		if w.heldBytes > m.limits.WatcherBytes/2 { // P27: it would spill again at once
			w.next = max(w.next, w.cover.resolved+1)
			m.leave(w)
			return false
		}
	}
	w.joining, w.historic, w.synced = false, false, true
	w.group.live++
	if len(w.held) > 0 {
		m.wait(w)
	}
	m.drain(w)
	m.answer(w.group)
	return w.Live()
}

// Leave takes a joining watcher back: its history turned out too long to hold
// what is released meanwhile.
func (m *Mux) Leave(w *Watcher) { m.leave(w) }

// Bulk emits history to a watcher that is not joined: changes holds everything
// in its span from Next up to covered. False: the stream has no room; what was
// not queued is still due from Next.
func (m *Mux) Bulk(w *Watcher, changes []*Change, covered, now proto.Revision) bool {
	var wanted []*Change
	for _, c := range changes {
		if c.Rev <= covered && w.watches(c.key()) && w.wants(c) {
			wanted = append(wanted, c)
		}
	}
	sortChanges(wanted)
	if !m.emitHistory(w, wanted, now) {
		return false
	}
	w.next = max(w.next, covered+1)
	return true
}

// Resolved returns the lowest closed revision of the parts of a watcher's
// span; ok is false if some key has no part.
func (m *Mux) Resolved(w *Watcher) (low proto.Revision, ok bool) {
	over := m.parts.over(w.span)
	if len(over) == 0 || len(m.parts.gaps(w.span)) > 0 {
		return 0, false
	}
	low = over[0].closed
	for _, p := range over[1:] {
		low = min(low, p.closed)
	}
	return low, true
}

// emitHistory queues sorted changes, up to so many whole revisions in each
// response, as etcd does for watchers that start in the past.
func (m *Mux) emitHistory(w *Watcher, cs []*Change, now proto.Revision) bool {
	for i := 0; i < len(cs); {
		j, size := i, 0
		for n := 0; j < len(cs) && n < m.limits.HistoricRevisions && size < historicBytes; n++ {
			k := nextRun(cs, j)
			for _, c := range cs[j:k] {
				size += c.size()
			}
			j = k
		}
		if !m.emit(w, max(now, cs[j-1].Rev), cs[i:j:j]) {
			return false
		}
		i = j
	}
	return true
}

// historicBytes is the size from which a response of history is cut, at a
// revision.
const historicBytes = 4 << 20

// Compacted says that the part's history below floor is gone: its feed cannot
// be resumed. Watchers that wanted some of it are ended, the others go on.
func (m *Mux) Compacted(p *Part, floor proto.Revision) {
	if p.removed || p.closed+1 >= floor {
		return
	}
	hit := map[*Watcher]struct{}{}
	for c := range p.covers {
		for w := range c.watchers {
			if max(w.next, c.resolved+1) < floor {
				hit[w] = struct{}{}
			}
		}
	}
	for _, w := range inOrder(hit) {
		m.Compact(w, floor)
	}
	old := p.closed
	m.discard(p)
	p.pendingHigh, p.lossy = 0, false
	p.closed, p.recentBase = floor-1, floor-1
	p.recent, p.recentBytes = nil, 0
	m.raiseAll(p, old)
}
