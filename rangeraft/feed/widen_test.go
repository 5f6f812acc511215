package feed

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// P22, P24: after a merge whoever subscribed goes on with its own span, under
// the new generation, and who wants what was changed on the other side before
// is served by a scan: the ring never held it.
func TestWidenedHub_P22_P24(t *testing.T) {
	e := &engine{}
	publish := func(h *Hub, evs ...*pontoonpb.ChangeEvent) {
		e.applied = append(e.applied, applied{events: evs})
		if h != nil {
			h.Publish(proto.Index(len(e.applied)), evs)
		}
	}
	h := NewHub(Options{}, userSpan("a", "m"), 1, 5)
	left, err := h.Subscribe(userSpan("a", "m"), 6, e.open)
	if err != nil {
		t.Fatal(err)
	}
	drain(t, left)
	publish(nil, change("x", 6, "")) // by the right range's log
	publish(h, change("b", 7, ""))
	h.Widen(userSpan("a", "z"), 3)
	h.Advance(8)
	publish(h, change("c", 9, ""), change("y", 9, ""))
	ms, _ := drain(t, left)
	var got []string
	for _, m := range ms {
		for _, ev := range m.Events {
			got = append(got, string(ev.Event.Kv.Key))
		}
		if m.Checkpoint.GetGeneration() != 3 {
			t.Errorf("checkpoint %v", m.Checkpoint)
		}
	}
	if len(got) != 2 || got[0] != "b" || got[1] != "c" {
		t.Errorf("left of the seam: %v", got)
	}
	for _, span := range []string{"a", "m"} {
		s, err := h.Subscribe(userSpan(span, "z"), 6, e.open)
		if err != nil {
			t.Fatal(err)
		}
		ms, _ := drain(t, s)
		found := false
		for _, m := range ms {
			for _, ev := range m.Events {
				found = found || string(ev.Event.Kv.Key) == "x"
			}
		}
		if !found {
			t.Errorf("from %s: what the right range changed is missing", span)
		}
	}
}
