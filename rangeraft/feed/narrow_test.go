package feed

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// P22, P24: what was published before a split is delivered by the side that
// holds its key, not by the other's ring as well.
func TestRingIsNarrowedWithTheSpan_P22(t *testing.T) {
	h := NewHub(Options{}, userSpan("a", "z"), 1, 5)
	e := &engine{}
	whole, err := h.Subscribe(userSpan("a", "z"), 6, e.open)
	if err != nil {
		t.Fatal(err)
	}
	drain(t, whole) // its scan says what the ring need not hold
	h.Publish(1, []*pontoonpb.ChangeEvent{change("b", 6, ""), change("q", 6, "")})
	h.Publish(2, []*pontoonpb.ChangeEvent{change("r", 7, "")})
	h.Narrow(userSpan("a", "m"), 2)
	bytes := 0
	for _, b := range h.ring.held() {
		bytes += b.bytes
	}
	if h.ring.bytes != bytes || bytes == 0 {
		t.Fatalf("the ring counts %d bytes, holds %d", h.ring.bytes, bytes)
	}
	taken := e.taken
	left, err := h.Subscribe(userSpan("a", "m"), 6, e.open)
	if err != nil {
		t.Fatal(err)
	}
	ms, _ := drain(t, left)
	if e.taken != taken {
		t.Fatal("the ring did not serve")
	}
	var names []string
	for _, m := range ms {
		for _, ev := range m.Events {
			names = append(names, nameOf(ev))
		}
	}
	if len(names) != 1 || names[0] != nameOf(change("b", 6, "")) {
		t.Fatalf("left of the split: got %v", names)
	}
}
