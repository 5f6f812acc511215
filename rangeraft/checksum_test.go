package rangeraft

import (
	"fmt"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// Replicas at one index hold the same, and a replica that holds something else
// shows.
func TestChecksumsOfReplicas(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i := range 20 {
		c.put(fmt.Sprint("k", i%5), fmt.Sprint(i))
	}
	l := c.leader(proto.UserRange)
	index := l.store.replica(proto.UserRange).published.Load().index
	sums := map[uint64]bool{}
	for _, nd := range c.nodes {
		reply := nd.store.replica(proto.UserRange).doChecksum(ctxFor(t, 10*time.Second), index).GetChecksum()
		if proto.Index(reply.GetIndex()) != index {
			t.Fatalf("node %d summed up %v, want index %d", nd.id, reply, index)
		}
		sums[reply.Sum] = true
	}
	if len(sums) != 1 {
		t.Fatalf("three replicas have %d sums", len(sums))
	}
	c.put("k0", "changed")
	after := l.store.replica(proto.UserRange).doChecksum(ctxFor(t, 10*time.Second), index+1).GetChecksum()
	if sums[after.GetSum()] {
		t.Fatal("a change does not show")
	}
}
