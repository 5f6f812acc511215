package client

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// Two messages may be away, the second not before the fold interval is over;
// a new session sends both again in order, under their sequences (P7).
func TestFoldInterval(t *testing.T) {
	c, err := New(Options{
		Node: 1, Boot: 1, Roots: func() []proto.NodeID { return nil }, FoldInterval: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(0, 0).Add(time.Hour)
	after := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	ask := func() { c.Ask(1, func(Grant, error) {}) }

	ask()
	first, _ := c.next(after(0))
	if first == nil {
		t.Fatal("an idle client waits")
	}
	ask()
	if m, wait := c.next(after(1)); m != nil || wait != 4*time.Millisecond {
		t.Fatalf("got %v, wait %v", m, wait)
	}
	ask()
	second, _ := c.next(after(5))
	if second == nil || second.wire.Count != 2 {
		t.Fatalf("got %v", second)
	}
	ask()
	if m, wait := c.next(after(100)); m != nil || wait != 0 {
		t.Fatalf("three messages away: %v, wait %v", m, wait)
	}
	c.open(2)
	for _, want := range []*message{first, second} {
		if m, _ := c.next(after(200)); m != want {
			t.Fatalf("sent again %v, want %v", m.wire, want.wire)
		}
	}
}
