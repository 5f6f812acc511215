package rangeraft

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// history notes what clients did to one key: acknowledged values rise, and no
// read may see an older one than was acknowledged before it began.
type history struct {
	acked    atomic.Int64 // highest acknowledged value
	attempts atomic.Int64
}

// check fails when a linearizable read is older than what was acknowledged
// before it began.
func (h *history) check(t *testing.T, c *cluster, key string) {
	t.Helper()
	before := h.acked.Load()
	reply, err := c.do(ctxFor(t, 20*time.Second), getOp(key, c.read()))
	if err != nil {
		return // unavailable is no lie
	}
	var got int64
	if kvs := reply.GetRead().Kvs; len(kvs) > 0 {
		fmt.Sscan(string(kvs[0].Value), &got)
	}
	if got < before {
		t.Errorf("read %d after %d was acknowledged", got, before)
	}
}

// P2 to P5, P20: reads stay linearizable while leaders are cut off and come
// back, with leader leases and without.
func TestReadsLinearizableAcrossLeaderChange_P20(t *testing.T) {
	for _, leases := range []bool{true, false} {
		t.Run(fmt.Sprint("leases=", leases), func(t *testing.T) {
			c := newCluster(t, 3, func(o *Options) { o.DisableLeaderLease = !leases })
			c.put("x", "0")
			h := &history{}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Add(2)
			go func() {
				defer wg.Done()
				for v := int64(1); ; v++ {
					select {
					case <-stop:
						return
					default:
					}
					ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
					_, err := c.do(ctx, putOp("x", fmt.Sprint(v)))
					cancel()
					if err == nil {
						h.acked.Store(v)
					}
				}
			}()
			go func() {
				defer wg.Done()
				for {
					select {
					case <-stop:
						return
					default:
						h.check(t, c, "x")
					}
				}
			}()
			for range 3 {
				old := c.leader(proto.UserRange)
				c.isolate(old.id, true)
				c.wait("another leader", func() bool {
					for _, nd := range c.nodes {
						if nd != old && nd.store.replica(proto.UserRange).servingTerm.Load() > 0 {
							return true
						}
					}
					return false
				})
				after := h.acked.Load()
				c.wait("writes go on", func() bool { return h.acked.Load() > after })
				c.isolate(old.id, false)
			}
			close(stop)
			wg.Wait()
		})
	}
}

// A cut-off leader with a lease that lapsed answers no read, and a write sent
// to it is never acknowledged.
func TestCutOffLeaderServesNothing_P5(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.put("x", "1")
	old := c.leader(proto.UserRange)
	c.isolate(old.id, true)
	c.wait("another leader", func() bool {
		for _, nd := range c.nodes {
			if nd != old && nd.store.replica(proto.UserRange).servingTerm.Load() > 0 {
				return true
			}
		}
		return false
	})
	ctx := ctxFor(t, 500*time.Millisecond)
	op := getOp("x", c.read())
	op.RangeId = uint64(proto.UserRange)
	if reply := old.store.Do(ctx, op); reply.Error == nil {
		t.Fatal("a deposed leader served a read")
	}
	w := putOp("x", "lost")
	w.RangeId = uint64(proto.UserRange)
	if reply := old.store.Do(ctxFor(t, 500*time.Millisecond), w); reply.Error == nil {
		t.Fatal("a deposed leader acknowledged a write")
	}
}

// P2: a leader that was told to hand over has no lease for the term, and the
// transfer moves the leadership without an election timeout.
func TestTransfer_P2(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.put("x", "1")
	old := c.leader(proto.UserRange)
	to := c.ids[0]
	if to == old.id {
		to = c.ids[1]
	}
	r := old.store.replica(proto.UserRange)
	op := &pontoonpb.RangeOp{RangeId: uint64(proto.UserRange), Span: r.desc.Load().Span,
		Op: &pontoonpb.RangeOp_Transfer{Transfer: &pontoonpb.TransferOp{ToNode: uint64(to)}}}
	// A node that was the last to start may not have answered yet: it is refused.
	c.wait("transfer", func() bool {
		reply := old.store.Do(ctxFor(t, 10*time.Second), op)
		if reply.Error != nil && reply.Error.Code != pontoonpb.RangeErrorCode_REFUSED {
			t.Fatal(reply.Error)
		}
		return reply.Error == nil
	})
	c.wait("new leader", func() bool { return c.nodes[to].store.replica(proto.UserRange).servingTerm.Load() > 0 })
	c.mustHave("x", "1")
	c.put("x", "2")
	c.mustHave("x", "2")
}

// A power loss of all nodes, at random moments, loses no acknowledged write.
func TestCrashKeepsAcknowledgedWrites(t *testing.T) {
	c := newCluster(t, 3, nil)
	for round := range 3 {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := range 25 {
					c.put(fmt.Sprintf("r%d-w%d-%d", round, w, i), fmt.Sprint(round))
				}
			}()
		}
		wg.Wait()
		for i, nd := range c.nodes {
			nd.crash(uint64(round*10) + uint64(i))
		}
		for _, nd := range c.nodes {
			nd.start(false)
		}
		for r := range round + 1 {
			for w := range 4 {
				for i := range 25 {
					c.mustHave(fmt.Sprintf("r%d-w%d-%d", r, w, i), fmt.Sprint(r))
				}
			}
		}
	}
}

// A replica that crashed alone catches up from the log.
func TestRestartCatchesUp(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.put("a", "1")
	l := c.leader(proto.UserRange)
	var down *testNode
	for _, nd := range c.nodes {
		if nd != l {
			down = nd
		}
	}
	down.crash(50)
	for i := range 50 {
		c.put(fmt.Sprint("k", i), "v")
	}
	down.start(false)
	c.wait("caught up", func() bool {
		return down.store.replica(proto.UserRange).published.Load().index >=
			l.store.replica(proto.UserRange).published.Load().index
	})
}
