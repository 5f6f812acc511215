package rangeraft

import (
	"slices"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// P45: of two raft snapshots whose spans overlap one is refused, however close
// together they come, and so is one that overlaps a range of the node.
func TestOverlappingSnapshotsAreRefused_P45(t *testing.T) {
	now := leaderlease.Nanos(0)
	s := still(t, true, &now) // holds range 3, the user span
	span := func(start, end string) proto.Span { return keys.UserRangeSpan([]byte(start), []byte(end)) }
	reserve := func(id uint64, span proto.Span, generation uint64) error {
		return s.reserve(&pontoonpb.Descriptor{RangeId: id, Span: span.Wire(), Generation: generation})
	}
	if reserve(18, span("a", "c"), 2) == nil || reserve(18, span("", "c"), 1) == nil {
		t.Fatal("took a snapshot over a range of the node")
	}
	left := proto.Span{Start: keys.LeaseSpan.Start, End: keys.LeaseSpan.End}
	right := proto.Span{Start: keys.LeaseSpan.Start, End: slices.Concat(keys.LeaseSpan.Start, []byte("x"))}
	if err := reserve(2, left, 1); err != nil {
		t.Fatal(err)
	}
	if reserve(19, right, 1) == nil || reserve(2, left, 1) == nil {
		t.Fatal("took a second snapshot of the same keys")
	}
	s.release(2)
	if err := reserve(19, right, 1); err != nil {
		t.Fatal(err)
	}
	if err := reserve(3, span("", "\x00"), 1); err != nil {
		t.Fatalf("refused the range's own snapshot: %v", err)
	}
}
