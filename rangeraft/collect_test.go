package rangeraft

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// follower returns a node with a replica that does not lead.
func (c *cluster) follower(id proto.RangeID) *testNode {
	l := c.leader(id)
	for _, n := range c.ids {
		if nd := c.nodes[n]; nd != l && nd.live() != nil && nd.store.replica(id) != nil {
			return nd
		}
	}
	c.t.Fatal("no follower")
	return nil
}

// drop removes the replica of a node.
func (c *cluster) drop(id proto.RangeID, node proto.NodeID) {
	c.t.Helper()
	c.promoteOnceCaughtUp(id, step(demote, node))
	c.mustChange(id, step(remove, node))
}

// P45: a replica that missed its removal finds out and goes, on a node that
// was cut off, and on one that was down and starts again.
func TestMissedRemovalIsCollected_P45(t *testing.T) {
	for _, restart := range []bool{false, true} {
		c := newClusterOf(t, 3, 3, nil)
		c.put("a", "1")
		away := c.follower(proto.UserRange)
		if restart {
			away.stop()
		} else {
			c.isolate(away.id, true)
		}
		c.drop(proto.UserRange, away.id)
		c.put("b", "2")
		if restart {
			away.start(false)
		}
		if away.store.replica(proto.UserRange) == nil {
			t.Fatal("the replica cannot know yet")
		}
		c.isolate(away.id, false)
		c.wait("collected", func() bool { return away.store.replica(proto.UserRange) == nil })
		c.wait("data is gone", func() bool {
			_, ok, err := away.engine.Get([]byte("\x03a"), 1<<40)
			return err == nil && !ok
		})
		if next, err := away.engine.Tombstone(proto.UserRange); err != nil || next != proto.ReplicaID(away.id)+1 {
			t.Fatalf("tombstone is %d %v", next, err)
		}
		c.mustHave("b", "2")
	}
}

// P45: nothing that arrives late revives a removed replica, also after a
// restart; a later replica of the same node works.
func TestLateMessagesReviveNothing_P45(t *testing.T) {
	c := newClusterOf(t, 3, 3, nil)
	c.put("a", "1")
	gone := c.follower(proto.UserRange)
	other := c.leader(proto.UserRange)
	c.drop(proto.UserRange, gone.id)
	c.wait("gone", func() bool { return gone.store.replica(proto.UserRange) == nil })
	late := func() {
		self, from := uint64(gone.id), uint64(other.id)
		for _, typ := range []raftpb.MessageType{raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap, raftpb.MsgVote} {
			m := &raftpb.Message{Type: typ.Enum(), From: &from, To: &self, Term: new(uint64(50)), Commit: new(uint64(0))}
			w := &pontoonpb.RaftMessage{RangeId: uint64(proto.UserRange), FromReplica: from, ToReplica: self}
			if r := gone.store.receiver(other.id, w, m); r != nil {
				t.Fatalf("%v revived the replica", typ)
			}
		}
	}
	late()
	gone.crash(0)
	gone.start(false)
	late()

	d := c.mustChange(proto.UserRange, step(addLearner, gone.id))
	if id, _ := replicaOn(d, gone.id); id != 4 {
		t.Fatalf("the new replica is %d", id)
	}
	c.promoteOnceCaughtUp(proto.UserRange, step(promote, gone.id))
	late()
	to := gone.id
	op := &pontoonpb.RangeOp{Span: d.Span, Op: &pontoonpb.RangeOp_Transfer{Transfer: &pontoonpb.TransferOp{ToNode: uint64(to)}}}
	c.wait("the new replica leads", func() bool {
		_, err := c.do(ctxFor(t, 5*time.Second), op)
		return err == nil
	})
	c.put("b", "2")
	c.mustHave("a", "1")
}

// P45: a replica that was removed and replaced on its own node while it was
// cut off gives way to the later one.
func TestLaterReplicaReplacesOlder_P45(t *testing.T) {
	c := newClusterOf(t, 3, 3, nil)
	c.put("a", "1")
	away := c.follower(proto.UserRange)
	c.isolate(away.id, true)
	c.drop(proto.UserRange, away.id)
	c.mustChange(proto.UserRange, step(addLearner, away.id))
	c.put("b", "2")
	c.isolate(away.id, false)
	c.promoteOnceCaughtUp(proto.UserRange, step(promote, away.id))
	c.wait("has the data", func() bool {
		v, ok, err := away.engine.Get([]byte("\x03b"), 1<<40)
		return err == nil && ok && string(v.Value) == "2"
	})
	if r := away.store.replica(proto.UserRange); r.replicaID != 4 {
		t.Fatalf("replica %d", r.replicaID)
	}
}

// P45: a leader's word for a later replica of this node is proof enough.
func TestLaterReplicaIsProof_P45(t *testing.T) {
	c := newClusterOf(t, 3, 3, nil)
	c.put("a", "1")
	nd, from := c.follower(proto.UserRange), uint64(c.leader(proto.UserRange).id)
	m := &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: &from, To: new(uint64(9)), Term: new(uint64(50)), Commit: new(uint64(0))}
	w := &pontoonpb.RaftMessage{RangeId: uint64(proto.UserRange), FromReplica: from, ToReplica: 9}
	if r := nd.store.receiver(proto.NodeID(from), w, m); r != nil {
		t.Fatal("the message went to another replica")
	}
	c.wait("gone", func() bool { return nd.store.replica(proto.UserRange) == nil })
	if next, err := nd.engine.Tombstone(proto.UserRange); err != nil || next != 9 {
		t.Fatalf("tombstone %d %v", next, err)
	}
}

// P45: a replica that was never more than a message to it goes, too, and the
// split that would have made it honours the tombstone.
func TestSplitHonoursTombstone_P45(t *testing.T) {
	c := newClusterOf(t, 3, 3, nil)
	c.put("a", "1")
	c.put("x", "1")
	late := c.follower(proto.UserRange)
	c.wait("replicated", func() bool {
		_, ok, _ := late.engine.Get([]byte("\x03x"), 1<<40)
		return ok
	})
	c.isolate(late.id, true)
	if _, err := c.do(ctxFor(t, 20*time.Second), splitOp(c, "m", 10)); err != nil {
		t.Fatal(err)
	}
	c.put("x", "2")
	c.drop(10, late.id)
	// What it learns of the removal before it applies the split.
	r, err := late.store.uninitialised(10, proto.ReplicaID(late.id))
	if err != nil {
		t.Fatal(err)
	}
	r.post(func() { r.collect(c.descriptor(10)) })
	c.wait("collected", func() bool { return late.store.replica(10) == nil })
	c.isolate(late.id, false)
	c.wait("split applied", func() bool { return late.store.replica(proto.UserRange).desc.Load().Generation == 2 })
	c.put("b", "2")
	c.wait("left side goes on", func() bool {
		_, ok, _ := late.engine.Get([]byte("\x03b"), 1<<40)
		return ok
	})
	if r := late.store.replica(10); r != nil {
		t.Fatal("the split made a removed replica")
	}
	if _, ok, err := late.engine.Get([]byte("\x03x"), 1<<40); ok || err != nil {
		t.Fatal("data of the right side is still there", err)
	}
}

// A node that crashed between a removal and its data starts without it.
func TestOpenSweepsRemovedReplica_P45(t *testing.T) {
	c := newClusterOf(t, 3, 3, nil)
	c.put("a", "1")
	gone := c.follower(proto.UserRange)
	d := c.descriptor(proto.UserRange)
	gone.stop()
	c.drop(proto.UserRange, gone.id)
	e := gone.openEngine()
	batch := e.NewBatch()
	if err := batch.SetDescriptor(changedDescriptor(d, &pontoonpb.ReplicaChange{
		Replicas: c.descriptor(proto.UserRange).Replicas, NextReplicaId: 4})); err != nil {
		t.Fatal(err)
	}
	if err := batch.Commit(true); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	gone.start(false)
	if r := gone.store.replica(proto.UserRange); r != nil {
		t.Fatal("runs a replica that is not in its descriptor")
	}
	states, err := gone.engine.Ranges()
	if next, _ := gone.engine.Tombstone(proto.UserRange); len(states) != 0 || err != nil || next != 4 {
		t.Fatalf("left: %v %v, tombstone %d", states, err, next)
	}
}

// Who asks a node for a range that left it is told where the range is.
func TestDepartedRangeIsNamed_P21(t *testing.T) {
	c := newClusterOf(t, 3, 3, nil)
	c.put("a", "1")
	gone := c.follower(proto.UserRange)
	feed, err := gone.store.OpenFeed(context.Background(), &pontoonpb.FeedRequest{RangeId: 3, Span: c.desc[0].Span, From: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	c.drop(proto.UserRange, gone.id)
	c.wait("gone", func() bool { return gone.store.replica(proto.UserRange) == nil })
	op := getOp("a", c.read())
	op.RangeId = uint64(proto.UserRange)
	ends := func(e *pontoonpb.RangeError) {
		t.Helper()
		if e.GetCode() != pontoonpb.RangeErrorCode_RANGE_MISMATCH || len(e.Descriptors) != 1 || len(e.Descriptors[0].Replicas) != 2 {
			t.Fatalf("told %v", e)
		}
	}
	ends(gone.store.Do(ctxFor(t, time.Second), op).Error)
	for {
		m, err := feed.Recv(ctxFor(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if m.Ended != nil {
			ends(m.Ended)
			return
		}
	}
}
