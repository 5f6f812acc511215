package driver

import (
	"bytes"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/placement/plan"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// staleAfter is when a range that no leader reports any more counts as without
// one: reports are up to maxPause old.
const staleAfter = maxPause + 10*time.Second

// wholeEvery is how often a node tells everything again: sizes change under
// ranges that sleep.
const wholeEvery = 5 * time.Minute

// figures is what reports and operators have told of nodes and ranges. A
// kernel: the driver holds a lock around it.
type figures struct {
	ranges map[uint64]*figure
	nodes  map[proto.NodeID]*pontoonpb.ReportReply
	heard  map[proto.NodeID]time.Time // of reports
	whole  map[proto.NodeID]time.Time // of reports that told everything
	down   map[proto.NodeID]time.Time // since when
}

// figure is what is known of one range.
type figure struct {
	status  *pontoonpb.RangeStatus
	changed time.Time // the descriptor
	seen    time.Time // the leader said so
}

func newFigures() *figures {
	return &figures{
		ranges: map[uint64]*figure{}, nodes: map[proto.NodeID]*pontoonpb.ReportReply{}, heard: map[proto.NodeID]time.Time{},
		whole: map[proto.NodeID]time.Time{}, down: map[proto.NodeID]time.Time{},
	}
}

// last is the report of a node that the next goes on from; none if everything
// is to be told again.
func (f *figures) last(node proto.NodeID, now time.Time) (boot, since uint64) {
	if rep := f.nodes[node]; rep != nil && now.Sub(f.whole[node]) < wholeEvery {
		return rep.Boot, rep.Number
	}
	return 0, 0
}

// report takes in what a node leads.
func (f *figures) report(node proto.NodeID, r *pontoonpb.ReportReply, now time.Time) {
	if len(r.Same) == 0 {
		f.whole[node] = now
	}
	for _, id := range r.Same {
		if have := f.ranges[id]; have != nil && have.status.LeaderNode == uint64(node) {
			have.seen = now
		} else {
			delete(f.whole, node) // forgotten here, or contested
		}
	}
	f.nodes[node], f.heard[node] = r, now
	for _, st := range r.Led {
		if st.Desc != nil && st.LeaderNode == uint64(node) {
			f.note(st, now)
		}
	}
	r.Led, r.Same = nil, nil // kept by range
}

// note takes in what a leader says of its range, unless it is older than what
// is known (I2); then it returns false.
func (f *figures) note(st *pontoonpb.RangeStatus, now time.Time) bool {
	have := f.ranges[st.Desc.RangeId]
	if have == nil {
		f.ranges[st.Desc.RangeId] = &figure{status: st, changed: now, seen: now}
		return true
	}
	if older(st, have.status) {
		return false
	}
	if st.Desc.Generation != have.status.Desc.Generation {
		have.changed = now
	}
	have.status, have.seen = st, now
	return true
}

// of returns what is known of a range, nil if nothing is.
func (f *figures) of(id proto.RangeID) *pontoonpb.RangeStatus {
	if have := f.ranges[uint64(id)]; have != nil {
		return have.status
	}
	return nil
}

func older(a, b *pontoonpb.RangeStatus) bool {
	switch {
	case a.Desc.Generation != b.Desc.Generation:
		return a.Desc.Generation < b.Desc.Generation
	case a.Term != b.Term:
		return a.Term < b.Term
	}
	return a.LastIndex < b.LastIndex
}

// list returns the ranges in key order. Of those that overlap, the one of the
// higher generation is, the other was merged into it, or is what it was split
// from, and is forgotten once nobody reports it any more.
func (f *figures) list(now time.Time) []plan.Range {
	all := make([]*figure, 0, len(f.ranges))
	for _, g := range f.ranges {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *figure) int {
		if c := bytes.Compare(a.status.Desc.Span.GetStart(), b.status.Desc.Span.GetStart()); c != 0 {
			return c
		}
		return -compareGeneration(a, b)
	})
	var kept []*figure
	for _, g := range all {
		for len(kept) > 0 && overlap(kept[len(kept)-1], g) && compareGeneration(kept[len(kept)-1], g) < 0 {
			f.forget(kept[len(kept)-1], now)
			kept = kept[:len(kept)-1]
		}
		if len(kept) > 0 && overlap(kept[len(kept)-1], g) {
			f.forget(g, now)
			continue
		}
		kept = append(kept, g)
	}
	list := make([]plan.Range, len(kept))
	for i, g := range kept {
		list[i] = plan.Range{Status: g.status, Changed: g.changed}
		if now.Sub(g.seen) > staleAfter {
			list[i].Status = &pontoonpb.RangeStatus{Desc: g.status.Desc, SizeBytes: g.status.SizeBytes}
		}
	}
	return list
}

func compareGeneration(a, b *figure) int {
	switch x, y := a.status.Desc.Generation, b.status.Desc.Generation; {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func overlap(a, b *figure) bool {
	return proto.SpanOf(a.status.Desc.Span).Overlaps(proto.SpanOf(b.status.Desc.Span))
}

func (f *figures) forget(g *figure, now time.Time) {
	if now.Sub(g.seen) > staleAfter {
		delete(f.ranges, g.status.Desc.RangeId)
	}
}

// observe takes in which nodes answer; the time of each that does not starts
// when it is first missed here (I3).
func (f *figures) observe(records []*pontoonpb.NodeRecord, live Liveness, now time.Time) []plan.Node {
	nodes := make([]plan.Node, 0, len(records))
	for _, r := range records {
		id := proto.NodeID(r.NodeId)
		n := plan.Node{Record: r, Live: live.Live(id), Stopping: live.Stopping(id)}
		if n.Live {
			delete(f.down, id)
		} else if _, missed := f.down[id]; !missed {
			f.down[id] = now
		}
		n.Down = f.down[id]
		if rep := f.nodes[id]; rep != nil {
			n.DiskFree, n.DiskTotal = rep.DiskFreeBytes, rep.DiskTotalBytes
		}
		nodes = append(nodes, n)
	}
	return nodes
}
