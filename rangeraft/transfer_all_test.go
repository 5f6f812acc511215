package rangeraft

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
)

// mustLeadNothing fails the test if the node leads a range or is about to.
func (nd *testNode) mustLeadNothing() {
	nd.c.t.Helper()
	for _, r := range nd.store.all() {
		if o := r.office(nil); o.led || o.coming {
			nd.c.t.Errorf("range %d: %+v", r.id, o)
		}
	}
}

// A node that hands everything over leads nothing afterwards, nor the right side
// of a split that was just applied and campaigns.
func TestTransferAllLeavesNothing(t *testing.T) {
	virtually(t, 3, nil, transferAllLeavesNothing)
}

func transferAllLeavesNothing(t *testing.T, c *cluster) {
	c.put("x", "1")
	old := c.leader(proto.UserRange)
	for i, key := range []string{"p", "k", "e"} {
		c.mustDo(splitOp(c, key, uint64(20+i)))
	}
	old.store.TransferAll(ctxFor(t, 20*time.Second))
	old.mustLeadNothing()
	c.mustHave("x", "1")
}

// raft counts the followers as not heard of after each election timeout, until
// their next answers: a clean stop waits for those.
func TestTransferAllWaitsForAnswers(t *testing.T) {
	virtually(t, 3, nil, transferAllWaitsForAnswers)
}

func transferAllWaitsForAnswers(t *testing.T, c *cluster) {
	c.put("x", "1")
	old := c.leader(proto.UserRange)
	r := old.store.replica(proto.UserRange)
	counted := make(chan error, 1)
	r.post(func() {
		counted <- r.rn.Step(&raftpb.Message{Type: raftpb.MsgCheckQuorum.Enum(), From: new(raft.LocalApplyThread)})
	})
	if err := <-counted; err != nil {
		t.Fatal(err)
	}
	old.store.TransferAll(ctxFor(t, 20*time.Second))
	old.mustLeadNothing()
	c.mustHave("x", "1")
}

// A follower that did not take over in time is asked again after the others;
// one that gave the range back is not.
func TestTransferAllTriesAgain(t *testing.T) {
	virtually(t, 3, nil, transferAllTriesAgain)
}

func transferAllTriesAgain(t *testing.T, c *cluster) {
	c.put("x", "1")
	old := c.leader(proto.UserRange)
	r := old.store.replica(proto.UserRange)
	x := &exodus{s: old.store, given: map[proto.RangeID]map[proto.NodeID]bool{}}
	refused := map[proto.NodeID]bool{}
	next := func() (o office) {
		c.wait("followers to be heard of", func() bool {
			o = r.office(func(n proto.NodeID) int { return x.rank(r.id, n, refused) })
			return o.next != 0 || o.spent
		})
		return o
	}
	first := next().next
	refused[first] = true
	c.wait("the other one to be asked", func() bool { return next().next != first })
	second := next().next
	refused[second] = true
	if o := next(); o.next == 0 {
		t.Error("nobody is asked again: ", o)
	}
	x.gave(r.id, first)
	c.wait("the one that has not had it", func() bool { return next().next == second })
	x.gave(r.id, second)
	if o := next(); !o.spent || o.next != 0 {
		t.Error("goes round in circles: ", o)
	}
}

// What nobody else can lead is left, without waiting for ctx to end.
func TestTransferAllLeavesWhatNobodyCanTake(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.put("x", "1")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.nodes[1].store.TransferAll(ctx)
	c.mustHave("x", "1")
}
