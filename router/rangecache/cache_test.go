package rangecache_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router/rangecache"
)

func desc(id uint64, start, end string, generation uint64) *pontoonpb.Descriptor {
	return &pontoonpb.Descriptor{
		RangeId: id, Span: &pontoonpb.Span{Start: []byte(start), End: []byte(end)}, Generation: generation,
	}
}

// show looks every letter up.
func show(c *rangecache.Cache) string {
	var b strings.Builder
	for k := byte('a'); k <= 'h'; k++ {
		if d := c.Lookup([]byte{k}); d != nil {
			fmt.Fprint(&b, d.RangeId)
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}

// TestGenerations: C1, C2.
func TestGenerations(t *testing.T) {
	c := rangecache.New(desc(1, "a", "i", 1))
	for _, s := range []struct {
		insert *pontoonpb.Descriptor
		want   string
	}{
		{desc(1, "a", "e", 2), "1111----"},
		{desc(1, "a", "i", 1), "1111----"}, // older
		{desc(2, "e", "i", 2), "11112222"},
		{desc(2, "e", "i", 2), "11112222"}, // the same
		{desc(3, "g", "i", 3), "1111--33"}, // what it replaces is gone
		{desc(2, "e", "g", 3), "11112233"},
		{desc(1, "a", "g", 4), "11111133"}, // merged
		{desc(9, "c", "c", 9), "11111133"}, // empty
	} {
		if c.Insert(s.insert); show(c) != s.want {
			t.Fatalf("after %v: %s, want %s", s.insert, show(c), s.want)
		}
	}
	c.Evict(c.Lookup([]byte("g")))
	if show(c) != "111111--" {
		t.Errorf("after evict: %s", show(c))
	}
}

// TestNoOverlap: C1 holds whatever is inserted.
func TestNoOverlap(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := rangecache.New()
		for range 40 {
			from, to := rng.IntN(8), rng.IntN(8)
			c.Insert(desc(uint64(rng.IntN(5)), string(rune('a'+min(from, to))), string(rune('b'+max(from, to))), uint64(rng.IntN(6))))
			for k := byte('a'); k <= 'h'; k++ {
				if d := c.Lookup([]byte{k}); d != nil && !proto.SpanOf(d.Span).Contains([]byte{k}) {
					t.Fatalf("seed %d: %q found in %v", seed, k, d)
				}
			}
		}
	}
}

func TestLeaderHints(t *testing.T) {
	c := rangecache.New()
	if c.SetLeader(3, 7); c.Leader(3) != 7 || c.Leader(4) != 0 {
		t.Error("hint is lost")
	}
	if c.SetLeader(3, 0); c.Leader(3) != 0 {
		t.Error("hint stays")
	}
}
