package rangeraft

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
)

// A leader whose transfer failed has no lease for the rest of its term. Its idle
// range must close all the same, on every replica: a watch over several ranges
// waits for it (P2, P5, P19).
func TestAnIdleRangeClosesAfterAFailedTransfer_P5(t *testing.T) {
	c := newCluster(t, 3, nil)
	rev := proto.Revision(c.put("a", "1"))
	l := c.leader(proto.UserRange)
	r := l.store.replica(proto.UserRange)
	dropped := make(chan struct{})
	r.post(func() {
		r.dropLease()
		close(dropped)
	})
	<-dropped
	for range 3 {
		rev += 100
		c.seq.mu.Lock()
		c.seq.last = rev
		c.seq.mu.Unlock()
		l.store.PushClosed(rev)
		c.wait("every replica closes at the number", func() bool {
			for _, nd := range c.nodes {
				if nd.store.replica(proto.UserRange).closed() < rev {
					return false
				}
			}
			return true
		})
	}
	if !r.lease.Dropped() || r.servingTerm.Load() == 0 {
		t.Fatal("another leadership began: nothing was tested")
	}
	c.put("a", "2")
	c.mustHave("a", "2")
}
