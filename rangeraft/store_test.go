package rangeraft

import (
	"fmt"
	"testing"
)

func TestSingleNodeWritesAndReads(t *testing.T) {
	c := newCluster(t, 1, nil)
	rev := c.put("a", "1")
	if rev != 2 {
		t.Fatalf("first write got revision %d", rev)
	}
	c.mustHave("a", "1")
}

func TestThreeNodesReplicate(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i := range 20 {
		c.put(fmt.Sprint("k", i), fmt.Sprint(i))
	}
	for i := range 20 {
		c.mustHave(fmt.Sprint("k", i), fmt.Sprint(i))
	}
	c.wait("all replicas applied", func() bool {
		var first *position
		for _, nd := range c.nodes {
			p := nd.store.replica(3).published.Load()
			if first == nil {
				first = p
			}
			if p.index != first.index {
				return false
			}
		}
		return true
	})
}
