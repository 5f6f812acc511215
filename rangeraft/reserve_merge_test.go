package rangeraft

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// P45, P46: a range that was merged away and split off at the same key again
// under another id does not come by a raft snapshot while the left range here is
// behind the merge: it would take what the trigger needs.
func TestSnapshotLeavesRightToTrigger_P46(t *testing.T) {
	c := twoRanges(t)
	d := c.drive()
	d.mustFreeze(t)
	s := c.nodes[2].store
	left, right := s.replica(3).desc.Load(), s.replica(10).desc.Load()
	newest := max(left.Generation, right.Generation)
	desc := func(id uint64, start []byte, generation uint64) *pontoonpb.Descriptor {
		return &pontoonpb.Descriptor{RangeId: id, Generation: generation,
			Span: proto.Span{Start: start, End: keys.UserSpan.End}.Wire()}
	}
	again := desc(77, right.Span.Start, newest+2)
	if s.reserve(again) == nil {
		t.Error("took the right range although its trigger is yet to come")
	}
	if err := s.reserve(desc(3, left.Span.Start, newest+1)); err != nil {
		t.Errorf("refused the left range's own snapshot: %v", err)
	}
	s.release(3)
	step := stepOf(s.replica(10).merge.Load().Step, pontoonpb.MergeStep_FREEZE)
	step.Left.Generation, step.Right.Generation = 0, left.Generation-1
	s.replica(10).merge.Store(&pontoonpb.MergeRecord{Step: step}) // the left range is past it
	if err := s.reserve(again); err != nil {
		t.Errorf("refused although the trigger was passed: %v", err)
	}
	s.release(77)
}

// P46: what a raft snapshot takes in ends from left to right: while one of the
// ranges may be applying the trigger of a merge, the frozen right one is left to it.
func TestSubsumedEndFromLeftToRight_P46(t *testing.T) {
	c := newClusterOf(t, 1, 1, nil)
	for i, key := range []string{"d", "h", "l", "p", "t"} {
		c.split(key, uint64(10+i))
	}
	s := c.nodes[1].store
	whole, err := s.uninitialised(77, 1)
	if err != nil {
		t.Fatal(err)
	}
	first := s.replica(3)
	first.mu.Lock() // its turn goes on
	done := make(chan struct{})
	go func() {
		defer close(done)
		whole.mu.Lock()
		defer whole.mu.Unlock()
		whole.subsume(&pontoonpb.Descriptor{RangeId: 77, Generation: 100, Span: keys.UserSpan.Wire()})
	}()
	c.wait("the leftmost is ended", func() bool { return s.replica(3) == nil })
	for id := proto.RangeID(10); id < 15; id++ {
		if s.replica(id) == nil {
			t.Errorf("range %d was ended before its left neighbour", id)
		}
	}
	first.mu.Unlock()
	<-done
	for id := proto.RangeID(10); id < 15; id++ {
		if s.replica(id) != nil {
			t.Errorf("range %d goes on", id)
		}
	}
}
