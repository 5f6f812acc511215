package proto

import (
	"bytes"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Span is the half-open interval [Start, End) of internal keys. End is always
// concrete: the internal keyspace has a last key (keys.Max).
type Span struct {
	Start, End []byte
}

// SpanOf returns the Go form of a wire span; nil is the empty span. The
// slices are shared.
func SpanOf(s *pontoonpb.Span) Span {
	return Span{Start: s.GetStart(), End: s.GetEnd()}
}

// Wire returns the wire form. The slices are shared.
func (s Span) Wire() *pontoonpb.Span {
	return &pontoonpb.Span{Start: s.Start, End: s.End}
}

// Empty reports whether no key lies in the span.
func (s Span) Empty() bool { return bytes.Compare(s.Start, s.End) >= 0 }

// Contains reports whether key lies in the span.
func (s Span) Contains(key []byte) bool {
	return bytes.Compare(s.Start, key) <= 0 && bytes.Compare(key, s.End) < 0
}

// Covers reports whether every key of o lies in the span.
func (s Span) Covers(o Span) bool {
	return o.Empty() || bytes.Compare(s.Start, o.Start) <= 0 && bytes.Compare(o.End, s.End) <= 0
}

// Overlaps reports whether some key lies in both.
func (s Span) Overlaps(o Span) bool {
	return !s.Intersect(o).Empty()
}

// Intersect returns the common part, possibly empty.
func (s Span) Intersect(o Span) Span {
	r := s
	if bytes.Compare(o.Start, r.Start) > 0 {
		r.Start = o.Start
	}
	if bytes.Compare(o.End, r.End) < 0 {
		r.End = o.End
	}
	return r
}

// Equal reports whether both spans have the same ends.
func (s Span) Equal(o Span) bool { return bytes.Equal(s.Start, o.Start) && bytes.Equal(s.End, o.End) }
