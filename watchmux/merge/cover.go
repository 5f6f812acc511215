package merge

import (
	"encoding/binary"
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
)

// cover is a set of parts that together hold the span of each of its watchers
// (P22). Watchers over the same parts share one.
type cover struct {
	key      string
	parts    []*Part
	resolved proto.Revision
	watchers map[*Watcher]struct{}
	waiting  map[*Watcher]struct{} // hold something above resolved
	high     proto.Revision        // highest revision held
	groups   map[*Group]int
}

func (c *cover) single() bool { return len(c.parts) == 1 }

func (c *cover) minClosed() proto.Revision {
	low := c.parts[0].closed
	for _, p := range c.parts[1:] {
		low = min(low, p.closed)
	}
	return low
}

// coverOf returns the cover of span, nil if some key has no part (I3).
func (m *Mux) coverOf(span proto.Span) *cover {
	over := m.parts.over(span)
	if len(over) == 0 || len(m.parts.gaps(span)) > 0 {
		return nil
	}
	key := make([]byte, 0, 8*len(over))
	for _, p := range over {
		key = binary.BigEndian.AppendUint64(key, p.id)
	}
	if c := m.covers[string(key)]; c != nil {
		return c
	}
	c := &cover{
		key: string(key), parts: slices.Clone([]*Part(over)),
		watchers: map[*Watcher]struct{}{}, waiting: map[*Watcher]struct{}{}, groups: map[*Group]int{},
	}
	c.resolved = c.minClosed()
	m.covers[c.key] = c
	for _, p := range c.parts {
		p.covers[c] = struct{}{}
	}
	return c
}

func (m *Mux) enterCover(w *Watcher, c *cover) {
	w.cover = c
	c.watchers[w] = struct{}{}
	c.groups[w.group]++
	w.group.covers[c]++
	for _, p := range c.parts {
		p.refs++
	}
	if len(w.held) > 0 {
		m.wait(w)
	}
}

func (m *Mux) leaveCover(w *Watcher) {
	c := w.cover
	w.cover = nil
	delete(c.watchers, w)
	delete(c.waiting, w)
	if c.groups[w.group]--; c.groups[w.group] == 0 {
		delete(c.groups, w.group)
	}
	if w.group.covers[c]--; w.group.covers[c] == 0 {
		delete(w.group.covers, c)
	}
	for _, p := range c.parts {
		p.refs--
	}
	if len(c.waiting) == 0 {
		c.high = 0
		delete(m.waiting, c)
	}
	if len(c.watchers) == 0 {
		delete(m.covers, c.key)
		for _, p := range c.parts {
			delete(p.covers, c)
		}
	}
}

// moveCover gives a joined watcher the cover of the parts there are now. Parts
// are cut and joined at the same closed, so resolved does not fall.
func (m *Mux) moveCover(w *Watcher) {
	m.leaveCover(w)
	m.enterCover(w, m.coverOf(w.span))
}

// wait notes that w holds changes above resolved.
func (m *Mux) wait(w *Watcher) {
	c := w.cover
	c.waiting[w] = struct{}{}
	c.high = max(c.high, w.heldHigh)
	m.waiting[c] = struct{}{}
}

// raise recomputes resolved after a part of the cover was closed further, and
// emits what it frees.
func (m *Mux) raise(c *cover) {
	resolved := c.minClosed()
	if resolved <= c.resolved {
		return
	}
	c.resolved = resolved
	for _, w := range inOrder(c.waiting) {
		m.drain(w)
	}
	if len(c.waiting) == 0 {
		c.high = 0
		delete(m.waiting, c)
	}
}

// inOrder lists watchers in order of their creation: output does not depend on
// map order.
func inOrder(set map[*Watcher]struct{}) []*Watcher {
	ws := make([]*Watcher, 0, len(set))
	for w := range set {
		ws = append(ws, w)
	}
	slices.SortFunc(ws, func(a, b *Watcher) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	return ws
}
