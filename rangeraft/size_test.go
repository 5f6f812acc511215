package rangeraft

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

func TestSizesAreMeasuredAtABoundedRate(t *testing.T) {
	var b sizeBudget
	taken := func(at time.Duration) (n int) {
		for b.take(leaderlease.Nanos(time.Hour + at)) {
			n++
		}
		return n
	}
	if n := taken(0); n != sizesAtOnce {
		t.Errorf("%d at once", n)
	}
	if n := taken(2 * time.Second); n != 2*sizesPerSecond {
		t.Errorf("%d in two seconds", n)
	}
}

func TestSizeIsRememberedAndFollowsWhatIsApplied(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.put("a", "1")
	r := c.leader(proto.UserRange).store.replica(proto.UserRange)
	before := r.status().SizeBytes
	measured := r.size.at
	for i := range 10 {
		c.put(fmt.Sprint("k", i), strings.Repeat("x", 1000))
	}
	after := r.status().SizeBytes
	if r.size.at != measured {
		t.Error("measured again at once")
	}
	if grown := after - before; grown < 10_000 || grown > 20_000 {
		t.Errorf("10 KB written, grown by %d", grown)
	}
}

func TestARangeThatCannotBeMeasuredYetHasNoSize(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.put("a", "1")
	s := c.leader(proto.UserRange).store
	r := s.replica(proto.UserRange)
	r.size.at = 0
	s.sizing.left, s.sizing.at = 0, s.opts.Now()+leaderlease.Nanos(time.Hour)
	if n := r.status().SizeBytes; n != sizeUnknown {
		t.Errorf("size %d", n)
	}
}
