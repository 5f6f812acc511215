package rangeraft

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// patient has an election timeout of seconds, so that who waits for one shows.
func patient(o *Options) { o.TickInterval, o.ElectionTicks = 100*time.Millisecond, 50 }

// soon is what a hand-over that fails may take: much less than patient's election
// timeout.
const soon = 200 * time.Millisecond

// handOver is a leader that is to hand the user range to one of two followers.
type handOver struct {
	*cluster
	old    *testNode
	r      *Replica
	to, by proto.NodeID
}

func newHandOver(t *testing.T, c *cluster) *handOver {
	t.Helper()
	c.put("x", "1")
	h := &handOver{cluster: c, old: c.leader(proto.UserRange)}
	h.r = h.old.store.replica(proto.UserRange)
	for _, id := range c.ids {
		if id != h.old.id {
			h.to, h.by = id, h.to
		}
	}
	c.wait("lease", func() bool { return h.r.status().LeaderLeaseValid })
	return h
}

// mustFailSoon hands over and fails the test unless that is refused soon.
func (h *handOver) mustFailSoon() {
	h.t.Helper()
	began := time.Now()
	reply := h.old.store.Do(ctxFor(h.t, 20*time.Second), transferOp(h.r, h.to))
	if reply.Error.GetCode() != pontoonpb.RangeErrorCode_REFUSED {
		h.t.Error("not refused: ", reply)
	}
	if took := time.Since(began); took > soon {
		h.t.Errorf("writes waited for %v: %v", took, reply.Error)
	}
}

// mustWriteSoon fails the test unless the same leader writes soon.
func (h *handOver) mustWriteSoon() {
	h.t.Helper()
	began := time.Now()
	h.put("x", "2")
	if took := time.Since(began); took > soon {
		h.t.Fatalf("no write for %v", took)
	}
	h.mustHave("x", "2")
	if h.r.servingTerm.Load() == 0 {
		h.t.Fatal("the leader was not kept")
	}
}

// P2: a node that stops declines what is handed to it, and the leader goes on at
// once: in office without a lease, by rounds, as TimeoutNow was sent. It is not asked
// again.
func TestStoppingNodeDeclinesLead_P2(t *testing.T) {
	virtually(t, 3, patient, stoppingNodeDeclinesLead)
}

func stoppingNodeDeclinesLead(t *testing.T, c *cluster) {
	h := newHandOver(t, c)
	c.nodes[h.to].store.TransferAll(ctxFor(t, time.Second))
	h.mustFailSoon()
	h.mustWriteSoon()
	if h.r.status().LeaderLeaseValid {
		t.Error("a lease after TimeoutNow was sent")
	}
	h.mustFailSoon()
	began := time.Now()
	h.old.store.TransferAll(ctxFor(t, 20*time.Second))
	if took := time.Since(began); took > soon {
		t.Errorf("the other one took over after %v", took)
	}
	if nd := c.leader(proto.UserRange); nd.id != h.by {
		t.Errorf("%d leads", nd.id)
	}
}

// A clean stop of all nodes at once does not wait for anybody.
func TestAllStopAtOnce(t *testing.T) {
	virtually(t, 3, patient, allStopAtOnce)
}

func allStopAtOnce(t *testing.T, c *cluster) {
	h := newHandOver(t, c)
	for _, id := range []proto.NodeID{h.to, h.by, h.old.id} {
		began := time.Now()
		c.nodes[id].store.TransferAll(ctxFor(t, 20*time.Second))
		if took := time.Since(began); took > soon {
			t.Errorf("node %d took %v", id, took)
		}
	}
	h.mustWriteSoon()
}

// A hand-over ends as soon as its target says that it stops, or may be gone. P2:
// as TimeoutNow was not sent, the lease stays.
func TestHandOverEndsWithItsTarget_P2(t *testing.T) {
	for name, goes := range map[string]func(s *Store, to proto.NodeID){
		"stops":   func(s *Store, to proto.NodeID) { s.NodeLeaving(to, true) },
		"suspect": func(s *Store, to proto.NodeID) { s.NodeSuspect(to, true) },
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, 3, patient, func(t *testing.T, c *cluster) { handOverEndsWithItsTarget(t, c, goes) })
		})
	}
}

func handOverEndsWithItsTarget(t *testing.T, c *cluster, goes func(*Store, proto.NodeID)) {
	h := newHandOver(t, c)
	// A write that has no number yet: the hand-over waits for it.
	grant := make(chan struct{})
	h.old.seq.line <- func() { <-grant }
	written, over := make(chan error, 1), make(chan struct{})
	go func() {
		_, err := c.do(ctxFor(t, 20*time.Second), putOp("x", "1"))
		written <- err
	}()
	c.wait("the write to be under way", func() bool { return !h.idle() })
	go func() {
		defer close(over)
		h.mustFailSoon()
	}()
	c.wait("the hand-over to begin", func() bool {
		h.r.mu.Lock()
		defer h.r.mu.Unlock()
		return h.r.handOver != nil
	})
	goes(h.old.store, h.to)
	<-over
	close(grant)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	h.mustWriteSoon()
	if !h.r.status().LeaderLeaseValid {
		t.Error("the lease was given up for nothing")
	}
	h.mustFailSoon() // it is not even asked
	if h.r.servingTerm.Load() == 0 || !h.r.status().LeaderLeaseValid {
		t.Error("a node that may be gone was told to take over")
	}
}

func (h *handOver) idle() bool {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	return h.r.ev.Idle()
}

// A hand-over ends when the stream to its target breaks.
func TestHandOverEndsWithItsStream(t *testing.T) {
	virtually(t, 3, patient, handOverEndsWithItsStream)
}

func handOverEndsWithItsStream(t *testing.T, c *cluster) {
	h := newHandOver(t, c)
	c.isolate(h.to, true)
	h.mustFailSoon()
	h.mustWriteSoon()
	c.isolate(h.to, false)
	// It is a target again once it answers.
	c.wait("a hand-over to it", func() bool {
		return h.old.store.Do(ctxFor(t, 20*time.Second), transferOp(h.r, h.to)).Error == nil
	})
}
