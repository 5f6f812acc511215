package directory

import (
	"bytes"
	"slices"

	pb "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// tile is a part of the keyspace and the descriptor that is believed for it.
type tile struct {
	span proto.Span
	desc *pontoonpb.Descriptor
}

// merge lays d over what is recorded, in key order. Where an existing record
// is as new as d it stays; where it is older it keeps what lies outside of d,
// clipped, until the range that holds the rest is published (I1, I2).
func merge(existing []*pontoonpb.Descriptor, d *pontoonpb.Descriptor) []*pontoonpb.Descriptor {
	span := proto.SpanOf(d.Span)
	free := []proto.Span{span} // parts of d that nothing newer holds
	var tiles []tile
	for _, e := range existing {
		es := proto.SpanOf(e.Span)
		if !es.Overlaps(span) {
			tiles = append(tiles, tile{es, e})
			continue
		}
		same := e.RangeId == d.RangeId && e.Generation == d.Generation
		if e.Generation >= d.Generation && !same {
			tiles = append(tiles, tile{es, e})
			free = subtract(free, es)
			continue
		}
		for _, rest := range subtract([]proto.Span{es}, span) {
			tiles = append(tiles, tile{rest, e})
		}
	}
	for _, f := range free {
		tiles = append(tiles, tile{f, d})
	}
	slices.SortFunc(tiles, func(a, b tile) int { return bytes.Compare(a.span.Start, b.span.Start) })
	merged := make([]*pontoonpb.Descriptor, 0, len(tiles))
	for _, t := range tiles {
		merged = append(merged, clipped(t))
	}
	return merged
}

// clipped returns the tile's descriptor with the tile's span.
func clipped(t tile) *pontoonpb.Descriptor {
	have := proto.SpanOf(t.desc.Span)
	if bytes.Equal(have.Start, t.span.Start) && bytes.Equal(have.End, t.span.End) {
		return t.desc
	}
	c := pb.Clone(t.desc).(*pontoonpb.Descriptor)
	c.Span = t.span.Wire()
	return c
}

// subtract returns what of the spans lies outside of cut.
func subtract(spans []proto.Span, cut proto.Span) []proto.Span {
	var rest []proto.Span
	for _, s := range spans {
		if !s.Overlaps(cut) {
			rest = append(rest, s)
			continue
		}
		if left := (proto.Span{Start: s.Start, End: cut.Start}); !left.Empty() {
			rest = append(rest, left)
		}
		if right := (proto.Span{Start: cut.End, End: s.End}); !right.Empty() {
			rest = append(rest, right)
		}
	}
	return rest
}
