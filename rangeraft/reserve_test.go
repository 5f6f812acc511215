package rangeraft

import (
	"slices"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// P45: of two raft snapshots whose spans overlap one is refused, however close
// together they come, and so is one that overlaps a range of the node.
func TestOverlappingSnapshotsAreRefused_P45(t *testing.T) {
	now := leaderlease.Nanos(0)
	s := still(t, true, &now) // holds range 3, the user span
	span := func(start, end string) proto.Span { return keys.UserRangeSpan([]byte(start), []byte(end)) }
	if s.reserve(18, span("a", "c")) == nil {
		t.Fatal("took a snapshot over a range of the node")
	}
	left := proto.Span{Start: keys.LeaseSpan.Start, End: keys.LeaseSpan.End}
	right := proto.Span{Start: keys.LeaseSpan.Start, End: slices.Concat(keys.LeaseSpan.Start, []byte("x"))}
	if err := s.reserve(2, left); err != nil {
		t.Fatal(err)
	}
	if s.reserve(19, right) == nil || s.reserve(2, left) == nil {
		t.Fatal("took a second snapshot of the same keys")
	}
	s.release(2)
	if err := s.reserve(19, right); err != nil {
		t.Fatal(err)
	}
	if err := s.reserve(3, span("", "\x00")); err != nil {
		t.Fatalf("refused the range's own snapshot: %v", err)
	}
}
