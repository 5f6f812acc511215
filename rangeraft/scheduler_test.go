package rangeraft

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
)

// However many ranges wait, the root range's turn is the next one.
func TestRootRangeGoesFirst(t *testing.T) {
	s := newScheduler()
	for id := proto.RangeID(10); id < 110; id++ {
		s.signal(&Replica{id: id})
	}
	root := &Replica{id: proto.RootRange}
	s.signal(root)
	s.signal(root) // folded into the turn that it waits for
	if n := s.behind(); n != 100 {
		t.Errorf("%d others wait", n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.popLocked(); r != root {
		t.Fatalf("range %d goes first", r.id)
	}
	for id := proto.RangeID(10); id < 110; id++ {
		if r := s.popLocked(); r.id != id {
			t.Fatalf("range %d in place of %d", r.id, id)
		}
	}
}
