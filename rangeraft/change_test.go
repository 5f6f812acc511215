package rangeraft

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

const (
	addLearner = pontoonpb.ReplicaStepKind_REPLICA_ADD_LEARNER
	promote    = pontoonpb.ReplicaStepKind_REPLICA_PROMOTE
	demote     = pontoonpb.ReplicaStepKind_REPLICA_DEMOTE
	remove     = pontoonpb.ReplicaStepKind_REPLICA_REMOVE
)

func step(kind pontoonpb.ReplicaStepKind, node proto.NodeID) *pontoonpb.ReplicaStep {
	return &pontoonpb.ReplicaStep{Kind: kind, NodeId: uint64(node)}
}

// descriptor is the newest that a live node has applied.
func (c *cluster) descriptor(id proto.RangeID) *pontoonpb.Descriptor {
	var newest *pontoonpb.Descriptor
	for _, nd := range c.nodes {
		if s := nd.live(); s != nil {
			if r := s.replica(id); r != nil && r.desc.Load().GetGeneration() > newest.GetGeneration() {
				newest = r.desc.Load()
			}
		}
	}
	return newest
}

// change changes the replicas of a range once, whatever its generation.
func (c *cluster) change(id proto.RangeID, steps ...*pontoonpb.ReplicaStep) (*pontoonpb.Descriptor, error) {
	d := c.descriptor(id)
	reply, err := c.do(ctxFor(c.t, 20*time.Second), &pontoonpb.RangeOp{
		Span: keys.Point(d.Span.Start).Wire(),
		Op:   &pontoonpb.RangeOp_ChangeReplicas{ChangeReplicas: &pontoonpb.ChangeReplicasOp{Generation: d.Generation, Steps: steps}},
	})
	return reply.GetChangeReplicas().GetDesc(), err
}

func (c *cluster) mustChange(id proto.RangeID, steps ...*pontoonpb.ReplicaStep) *pontoonpb.Descriptor {
	c.t.Helper()
	d, err := c.change(id, steps...)
	if err != nil {
		c.t.Fatalf("change %v: %v", steps, err)
	}
	return d
}

// move replaces the replica on one node by one on another.
func (c *cluster) move(id proto.RangeID, from, to proto.NodeID) {
	c.t.Helper()
	c.mustChange(id, step(addLearner, to))
	c.promoteOnceCaughtUp(id, step(promote, to), step(demote, from))
	d := c.mustChange(id, step(remove, from))
	if _, still := replicaOn(d, from); still || evaluator.Joint(d) {
		c.t.Fatalf("after the move: %v", d)
	}
	c.wait("the removed replica is gone", func() bool { return c.nodes[from].store.replica(id) == nil })
}

func (c *cluster) promoteOnceCaughtUp(id proto.RangeID, steps ...*pontoonpb.ReplicaStep) *pontoonpb.Descriptor {
	c.t.Helper()
	var d *pontoonpb.Descriptor
	c.wait("learner promoted", func() bool {
		var err error
		if d, err = c.change(id, steps...); err != nil && !proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED) {
			c.t.Fatal(err)
		}
		return err == nil
	})
	return d
}

// writer writes to keys of its own until stopped, and returns what was
// acknowledged.
func (c *cluster) writer(name string, stop <-chan struct{}) <-chan map[string]string {
	done := make(chan map[string]string, 1)
	go func() {
		acked := map[string]string{}
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- acked
				return
			default:
			}
			k, v := fmt.Sprintf("%s-%03d", name, i%50), fmt.Sprint(i)
			ctx := ctxFor(c.t, 20*time.Second)
			if _, err := c.do(ctx, putOp(k, v)); err == nil {
				acked[k] = v
			} else if proto.HasCode(err, pontoonpb.RangeErrorCode_AMBIGUOUS) {
				delete(acked, k) // either
			} else {
				c.t.Errorf("put: %v", err)
			}
		}
	}()
	return done
}

// Every replica moves to a new node in turn while clients write; nothing that
// was acknowledged is lost, and the old nodes keep nothing.
func TestMoveEveryReplicaUnderWrites(t *testing.T) {
	c := newClusterOf(t, 3, 6, nil)
	c.put("a", "1")
	stop := make(chan struct{})
	var writers []<-chan map[string]string
	for w := range 3 {
		writers = append(writers, c.writer(fmt.Sprint("w", w), stop))
	}
	for from := proto.NodeID(1); from <= 3; from++ {
		c.move(proto.UserRange, from, from+3)
	}
	close(stop)
	for _, w := range writers {
		for k, v := range <-w {
			c.mustHave(k, v)
		}
	}
	for id := proto.NodeID(1); id <= 3; id++ {
		if n := len(c.nodes[id].store.Statuses()); n != 0 {
			t.Errorf("node %d still has %d ranges", id, n)
		}
		states, err := c.nodes[id].engine.Ranges()
		if err != nil || len(states) > 0 {
			t.Errorf("engine of node %d still has %v %v", id, states, err)
		}
	}
	if d := c.descriptor(proto.UserRange); len(d.Replicas) != 3 || d.NextReplicaId != 7 {
		t.Errorf("in the end: %v", d)
	}
}

// A leader does not take its own vote: the lead moves first, and the caller is
// told where to.
func TestLeaderStepsAside(t *testing.T) {
	c := newClusterOf(t, 3, 3, nil)
	c.put("a", "1")
	old := c.leader(proto.UserRange)
	c.drop(proto.UserRange, old.id)
	c.wait("gone", func() bool { return old.store.replica(proto.UserRange) == nil })
	c.put("b", "2")
	c.mustHave("a", "1")
}

// The only replica of a range moves: its leader hands over while the range is
// between the two configurations, and the new one leaves it.
func TestOnlyReplicaMoves(t *testing.T) {
	c := newClusterOf(t, 1, 2, nil)
	c.put("a", "1")
	c.move(proto.UserRange, 1, 2)
	if l := c.leader(proto.UserRange); l.id != 2 {
		t.Fatalf("led by %d", l.id)
	}
	c.put("a", "2")
	c.mustHave("a", "2")
	c.move(proto.UserRange, 2, 1)
	c.mustHave("a", "2")
}

// onJoint calls fn in the turn in which a leader finds itself in a joint
// configuration, before it can leave it.
type onJoint struct{ fn func() }

func (o onJoint) Changed(d *pontoonpb.Descriptor) {
	if evaluator.Joint(d) {
		o.fn()
	}
}

// A leader that is lost between the two configurations leaves it to the next
// one, and no acknowledged write is lost.
func TestLeaderCrashWhileJoint_P12(t *testing.T) {
	var c *cluster
	var once sync.Once
	lost := make(chan proto.NodeID, 1)
	c = newClusterOf(t, 3, 4, func(o *Options) {
		o.Directory = onJoint{func() {
			once.Do(func() {
				c.isolate(o.NodeID, true) // nothing leaves this node any more
				lost <- o.NodeID
			})
		}}
	})
	c.put("a", "1")
	c.mustChange(proto.UserRange, step(addLearner, 4))
	out := c.follower(proto.UserRange).id
	c.wait("learner has caught up", func() bool { return c.caughtUp(4) })
	l := c.leader(proto.UserRange)
	d := c.descriptor(proto.UserRange)
	done := make(chan *pontoonpb.RangeReply, 1)
	go func() {
		done <- l.live().Do(ctxFor(t, 20*time.Second), &pontoonpb.RangeOp{RangeId: 3, Span: d.Span,
			Op: &pontoonpb.RangeOp_ChangeReplicas{ChangeReplicas: &pontoonpb.ChangeReplicasOp{Generation: d.Generation,
				Steps: []*pontoonpb.ReplicaStep{step(promote, 4), step(demote, out)}}}})
	}()
	if id := <-lost; id != l.id {
		t.Fatalf("joint on %d first", id)
	}
	l.crash(1)
	if reply := <-done; reply.Error == nil {
		t.Fatalf("answered %v", reply)
	}
	c.put("b", "2")
	c.wait("left", func() bool { return !evaluator.Joint(c.descriptor(proto.UserRange)) })
	c.isolate(l.id, false)
	l.start(false)
	for _, n := range c.ids {
		c.wait("everybody left", func() bool {
			r := c.nodes[n].store.replica(proto.UserRange)
			return r != nil && r.desc.Load().GetGeneration() == d.Generation+2
		})
	}
	c.mustHave("a", "1")
	c.mustHave("b", "2")
}

// caughtUp reports whether the leader knows a node's replica to have its log.
func (c *cluster) caughtUp(node proto.NodeID) bool {
	r := c.leader(proto.UserRange).store.replica(proto.UserRange)
	r.mu.Lock()
	defer r.mu.Unlock()
	id, ok := replicaOn(r.desc.Load(), node)
	return ok && r.leading && r.rn.Status().Progress[uint64(id)].Match+1 >= uint64(r.state.Index)
}

// A learner that lags behind gets no vote, and neither does a change that would
// leave the range without a majority that lives.
func TestPromotionNeedsCaughtUpLearner(t *testing.T) {
	c := newClusterOf(t, 3, 4, nil)
	c.put("a", "1")
	c.isolate(4, true)
	c.mustChange(proto.UserRange, step(addLearner, 4))
	if _, err := c.change(proto.UserRange, step(promote, 4)); !proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED) {
		t.Fatalf("promoted a learner without data: %v", err)
	}
	if d := c.descriptor(proto.UserRange); d.Generation != 2 {
		t.Fatalf("generation %d", d.Generation)
	}
	down := c.follower(proto.UserRange)
	var up proto.NodeID
	for _, n := range c.ids[:3] {
		if n != down.id && n != c.leader(proto.UserRange).id {
			up = n
		}
	}
	down.stop()
	c.wait("known to be down", func() bool {
		for _, p := range c.leader(proto.UserRange).store.replica(proto.UserRange).status().Progress {
			if p.NodeId == uint64(down.id) {
				return !p.Active
			}
		}
		return false
	})
	c.wait("refused without a majority", func() bool {
		_, err := c.change(proto.UserRange, step(demote, up))
		if err == nil {
			t.Fatal("left two voters of which one is down")
		}
		return proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED)
	})
	c.mustChange(proto.UserRange, step(demote, down.id))
	c.isolate(4, false)
	c.promoteOnceCaughtUp(proto.UserRange, step(promote, 4))
	c.put("b", "2")
}

// A change that names another generation is refused.
func TestChangeNamesGeneration_P12(t *testing.T) {
	c := newClusterOf(t, 1, 2, nil)
	c.put("a", "1")
	op := &pontoonpb.RangeOp{Span: c.desc[0].Span, Op: &pontoonpb.RangeOp_ChangeReplicas{
		ChangeReplicas: &pontoonpb.ChangeReplicasOp{Generation: 7, Steps: []*pontoonpb.ReplicaStep{step(addLearner, 2)}}}}
	if _, err := c.do(ctxFor(t, 5*time.Second), op); !proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED) {
		t.Fatal(err)
	}
}

// P3 to P5: the lease is over the voters that raft counts, from the moment a
// change is applied.
func TestLeaseFollowsVoters_P3(t *testing.T) {
	c := newClusterOf(t, 1, 2, nil)
	c.put("a", "1")
	r := c.leader(proto.UserRange).store.replica(proto.UserRange)
	alone := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		now := r.s.opts.Now()
		return r.lease.QuorumSince(now, now)
	}
	c.mustChange(proto.UserRange, step(addLearner, 2))
	if !alone() {
		t.Fatal("a learner counts for the lease")
	}
	c.promoteOnceCaughtUp(proto.UserRange, step(promote, 2))
	if alone() {
		t.Fatal("the new voter does not count for the lease")
	}
	c.mustChange(proto.UserRange, step(demote, 2))
	if !alone() {
		t.Fatal("a former voter counts for the lease")
	}
}
