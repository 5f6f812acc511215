package merge

import (
	"bytes"
	"slices"
	"sort"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Part is a span inside one range, fed by one feed at a time.
type Part struct {
	id     uint64
	span   proto.Span
	closed proto.Revision // released up to here

	pending      []*Change // delivered, above closed, any order
	pendingBytes int
	pendingHigh  proto.Revision
	lossy        bool // pending was dropped: only history can go on from closed

	recent      []*Change // released, in order: lets watchers join without history
	recentBytes int
	recentBase  proto.Revision // every released change above it is in recent

	covers  map[*cover]struct{}
	refs    int // watchers joined through covers
	removed bool
}

// Span returns the part's span of internal keys.
func (p *Part) Span() proto.Span { return p.span }

// Closed returns the revision up to which everything was released. A feed is
// resumed from the one after it.
func (p *Part) Closed() proto.Revision { return p.closed }

// Watched reports whether a watcher is joined.
func (p *Part) Watched() bool { return p.refs > 0 }

// Removed reports whether the part was split or removed: its feed is over.
func (p *Part) Removed() bool { return p.removed }

// Lossy reports that the part dropped what it was given because too much
// waited above closed (P27). It ignores events and checkpoints until Page
// brought it up to a closed revision and Drop said that a new feed starts.
func (p *Part) Lossy() bool { return p.lossy }

// take removes and returns the pending changes at or below rev, in order.
func (p *Part) take(rev proto.Revision) []*Change {
	if len(p.pending) == 0 {
		return nil
	}
	sortChanges(p.pending)
	n := cutAbove(p.pending, rev)
	ready := p.pending[:n:n]
	p.pending = append([]*Change(nil), p.pending[n:]...)
	for _, c := range ready {
		p.pendingBytes -= c.size()
	}
	return ready
}

func (p *Part) remember(cs []*Change, limit int) {
	for _, c := range cs {
		p.recentBytes += c.size()
	}
	p.recent = append(p.recent, cs...)
	if p.recentBytes <= limit {
		return
	}
	n := 0
	for p.recentBytes > limit/2 && n < len(p.recent) {
		p.recentBytes -= p.recent[n].size()
		p.recentBase = max(p.recentBase, p.recent[n].Rev) // after a join it may be above what one side has kept
		n++
	}
	p.recent = append([]*Change(nil), p.recent[n:]...)
}

// parts is the sorted list of disjoint parts.
type parts []*Part

// over returns the parts that overlap span.
func (ps parts) over(span proto.Span) parts {
	if span.Empty() {
		return nil
	}
	i := sort.Search(len(ps), func(i int) bool { return bytes.Compare(ps[i].span.End, span.Start) > 0 })
	j := sort.Search(len(ps), func(j int) bool { return bytes.Compare(ps[j].span.Start, span.End) >= 0 })
	return ps[i:j]
}

// gaps returns the pieces of span that no part holds.
func (ps parts) gaps(span proto.Span) []proto.Span {
	var gaps []proto.Span
	at := span.Start
	for _, p := range ps.over(span) {
		if bytes.Compare(at, p.span.Start) < 0 {
			gaps = append(gaps, proto.Span{Start: at, End: p.span.Start})
		}
		at = p.span.End
	}
	if last := (proto.Span{Start: at, End: span.End}); !last.Empty() {
		gaps = append(gaps, last)
	}
	return gaps
}

func (ps parts) insert(p *Part) parts {
	i := sort.Search(len(ps), func(i int) bool { return bytes.Compare(ps[i].span.Start, p.span.Start) >= 0 })
	return slices.Insert(ps, i, p)
}

// Missing returns the pieces of span without a part.
func (m *Mux) Missing(span proto.Span) []proto.Span { return m.parts.gaps(span) }

// Parts returns all parts in key order.
func (m *Mux) Parts() []*Part { return slices.Clone(m.parts) }

// AddPart adds a part that delivers everything above closed. The span must lie
// in a gap and inside one range.
func (m *Mux) AddPart(span proto.Span, closed proto.Revision) *Part {
	m.nextPart++
	p := &Part{id: m.nextPart, span: span, closed: closed, recentBase: closed, covers: map[*cover]struct{}{}}
	m.parts = m.parts.insert(p)
	return p
}

// RemovePart removes a part that nobody watches.
func (m *Mux) RemovePart(p *Part) {
	if p.refs > 0 || p.removed {
		return
	}
	m.forget(p)
}

func (m *Mux) forget(p *Part) {
	p.removed = true
	m.parts = slices.DeleteFunc(m.parts, func(o *Part) bool { return o == p })
	m.discard(p)
	p.recent = nil
}

// discard drops what was delivered above closed.
func (m *Mux) discard(p *Part) {
	m.pending -= p.pendingBytes
	p.pending, p.pendingBytes = nil, 0
}

// Drop forgets what the part's dead feed delivered above closed and returns
// the revision that the next feed starts at (P24).
func (m *Mux) Drop(p *Part) (from proto.Revision) {
	m.discard(p)
	p.pendingHigh, p.lossy = 0, false
	return p.closed + 1
}

// SplitPart replaces a part by parts that end at the given internal keys and
// at its own end: its range was split. They inherit closed; each needs a feed
// of its own (I3).
func (m *Mux) SplitPart(p *Part, at [][]byte) []*Part {
	moved := map[*Watcher]struct{}{}
	for c := range p.covers {
		for w := range c.watchers {
			moved[w] = struct{}{}
		}
	}
	recent, base := p.recent, p.recentBase
	m.forget(p)
	var made []*Part
	start := p.span.Start
	for _, end := range append(slices.Clone(at), p.span.End) {
		span := proto.Span{Start: start, End: end}.Intersect(p.span)
		if span.Empty() {
			continue
		}
		q := m.AddPart(span, p.closed)
		q.recentBase = base
		for _, c := range recent {
			if span.Contains(keys.User(c.key())) {
				q.recent = append(q.recent, c)
				q.recentBytes += c.size()
			}
		}
		made, start = append(made, q), end
	}
	for w := range moved {
		m.moveCover(w)
	}
	return made
}

// JoinParts replaces two neighbours by one part: their ranges were merged. It
// needs a feed of its own. Nil if the two are not released up to the same
// revision: one of them would deliver twice, or not at all (I1).
func (m *Mux) JoinParts(p, q *Part) *Part {
	if p.removed || q.removed || p.lossy || q.lossy || p.closed != q.closed || !bytes.Equal(p.span.End, q.span.Start) {
		return nil
	}
	moved := map[*Watcher]struct{}{}
	for _, part := range []*Part{p, q} {
		for c := range part.covers {
			for w := range c.watchers {
				moved[w] = struct{}{}
			}
		}
	}
	recent, size := slices.Concat(p.recent, q.recent), p.recentBytes+q.recentBytes
	sortChanges(recent)
	m.forget(p)
	m.forget(q)
	j := m.AddPart(proto.Span{Start: p.span.Start, End: q.span.End}, p.closed)
	j.recent, j.recentBytes, j.recentBase = recent, size, max(p.recentBase, q.recentBase)
	for w := range moved {
		m.moveCover(w)
	}
	return j
}
