package txn

import (
	"bytes"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// target is one span to lock before it is divided among ranges.
type target struct {
	span  proto.Span
	mode  pontoonpb.LockMode
	lease proto.LeaseID // LOCK_LEASE
	rev   int64         // > 0: what is read under the lock is history
	read  bool
	count bool // read only how many keys there are
}

// targets turns what an operation touches into spans to lock: disjoint pieces
// with the strongest mode that is asked for, each read as a whole, then
// history, then the records of the leases named by puts (P33).
func targets(accesses []etcdop.Access) []target {
	var latest []etcdop.Access
	var out []target
	leases := make(map[proto.LeaseID]bool)
	for _, a := range accesses {
		if a.Rev > 0 {
			out = append(out, target{span: a.Span, mode: pontoonpb.LockMode_LOCK_SHARED, rev: a.Rev, read: true})
		} else {
			latest = append(latest, a)
		}
		if a.Lease != 0 && !leases[a.Lease] {
			leases[a.Lease] = true
			out = append(out, target{span: keys.Point(keys.Lease(a.Lease)), mode: pontoonpb.LockMode_LOCK_SHARED})
		}
	}
	out = append(out, disjoint(latest)...)
	slices.SortStableFunc(out, func(a, b target) int { return bytes.Compare(a.span.Start, b.span.Start) })
	return out
}

// disjoint cuts overlapping accesses into pieces that do not overlap and joins
// neighbours of one mode, so that every key is locked and read once.
func disjoint(accesses []etcdop.Access) []target {
	var cuts [][]byte
	for _, a := range accesses {
		cuts = append(cuts, a.Span.Start, a.Span.End)
	}
	slices.SortFunc(cuts, bytes.Compare)
	cuts = slices.CompactFunc(cuts, bytes.Equal)
	var out []target
	for i := 1; i < len(cuts); i++ {
		piece := proto.Span{Start: cuts[i-1], End: cuts[i]}
		touched, write := false, false
		for _, a := range accesses {
			if a.Span.Covers(piece) {
				touched, write = true, write || a.Write
			}
		}
		if !touched {
			continue
		}
		mode := pontoonpb.LockMode_LOCK_SHARED
		if write {
			mode = pontoonpb.LockMode_LOCK_WRITE
		}
		if n := len(out); n > 0 && out[n-1].mode == mode && bytes.Equal(out[n-1].span.End, piece.Start) {
			out[n-1].span.End = piece.End
			continue
		}
		out = append(out, target{span: piece, mode: mode, read: true})
	}
	return out
}

// group is what is locked in one range with one entry (P35).
type group struct {
	desc  *pontoonpb.Descriptor
	hull  proto.Span // smallest span that holds all locks
	locks []*pontoonpb.LockSpan
	reads []*pb.RangeRequest

	touched bool // a lock request may have reached the range
	reply   *pontoonpb.LockReply
}

// groups divides targets among the ranges that cover them, in key order. A
// lease record is a group of its own, since a reply carries one record.
func groups(ts []target, descs []*pontoonpb.Descriptor) []*group {
	var out []*group
	byRange := make(map[uint64]*group)
	for _, t := range ts {
		_, record := keys.LeaseOf(t.span.Start)
		for _, d := range descs {
			piece := proto.SpanOf(d.Span).Intersect(t.span)
			if piece.Empty() {
				continue
			}
			g := byRange[d.RangeId]
			if g == nil || record {
				g = &group{desc: d, hull: piece}
				out = append(out, g)
				if !record {
					byRange[d.RangeId] = g
				}
			}
			g.add(t, piece)
		}
	}
	slices.SortStableFunc(out, func(a, b *group) int { return bytes.Compare(a.hull.Start, b.hull.Start) })
	return out
}

func (g *group) add(t target, piece proto.Span) {
	g.locks = append(g.locks, &pontoonpb.LockSpan{Span: piece.Wire(), Mode: t.mode, Lease: int64(t.lease)})
	if t.read {
		key, end := userRange(piece)
		g.reads = append(g.reads, &pb.RangeRequest{Key: key, RangeEnd: end, Revision: t.rev, CountOnly: t.count})
	}
	g.hull = join(g.hull, piece)
}

// userRange is keys.UserRange, but says "everything" in the only way that etcd
// knows: an empty key is no key.
func userRange(s proto.Span) (key, end []byte) {
	key, end = keys.UserRange(s)
	if len(key) == 0 {
		key = []byte{0}
	}
	return key, end
}

// join returns the smallest span that holds both.
func join(a, b proto.Span) proto.Span {
	if bytes.Compare(b.Start, a.Start) < 0 {
		a.Start = b.Start
	}
	if bytes.Compare(b.End, a.End) > 0 {
		a.End = b.End
	}
	return a
}
