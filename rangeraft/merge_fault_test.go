package rangeraft

import (
	"context"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// drive begins a merge of range 3 with range 10 that a test takes step by step.
func (c *cluster) drive() *mergeDriver {
	c.t.Helper()
	var d *mergeDriver
	c.wait("a merge begun", func() bool {
		r := c.leader(3).store.replica(3)
		step, refused := r.planMerge(10)
		if refused != nil {
			return false
		}
		d = &mergeDriver{r: r, step: step, done: make(chan *pontoonpb.RangeReply, 1)}
		r.post(func() { r.driver = d })
		return d.own(pontoonpb.MergeStep_BEGIN).Error == nil
	})
	return d
}

func (d *mergeDriver) mustFreeze(t *testing.T) {
	t.Helper()
	var err error
	for range 10 { // a busy machine takes longer than a driver waits
		if err = d.freeze(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func (d *mergeDriver) mustTrigger(t *testing.T) {
	t.Helper()
	if reply := d.own(pontoonpb.MergeStep_TRIGGER); reply.Error != nil {
		t.Fatal(reply.Error)
	}
}

// leave is the end of the driver without a word.
func (d *mergeDriver) leave() {
	d.r.post(func() {
		if d.r.driver == d {
			d.r.driver = nil
		}
	})
}

// other returns a node that is none of those given.
func (c *cluster) other(than ...*testNode) *testNode {
	for _, id := range c.ids {
		nd, ok := c.nodes[id], true
		for _, o := range than {
			ok = ok && o != nd
		}
		if ok {
			return nd
		}
	}
	return nil
}

// powerLoss takes a node down a moment after its last message left.
func (nd *testNode) powerLoss(seed uint64) {
	nd.c.isolate(nd.id, true)
	nd.crash(seed)
}

func (nd *testNode) powerOn() {
	nd.start(false)
	nd.c.isolate(nd.id, false)
}

// lead moves a leadership to a node.
func (c *cluster) lead(id proto.RangeID, nd *testNode) {
	c.t.Helper()
	c.wait(fmt.Sprint("node leads range ", id), func() bool {
		l := c.leader(id)
		if l == nd {
			return true
		}
		reply := l.store.Do(ctxFor(c.t, time.Second), &pontoonpb.RangeOp{RangeId: uint64(id),
			Span: l.store.replica(id).desc.Load().Span,
			Op:   &pontoonpb.RangeOp_Transfer{Transfer: &pontoonpb.TransferOp{ToNode: uint64(nd.id)}}})
		return reply.Error == nil
	})
}

// at sends an operation to one node's replica of a range.
func (nd *testNode) at(id uint64, op *pontoonpb.RangeOp) error {
	op.RangeId = id
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	return proto.FromWire(nd.store.Do(ctx, op).Error)
}

// P46: wherever a leader dies in the course of a merge, the range is merged or
// not, in the end, and serves; nothing is lost.
func TestMergeLeaderDies_P46(t *testing.T) {
	for _, after := range []string{"begin", "freeze", "trigger"} {
		for _, victim := range []string{"left", "right", "both"} {
			t.Run(after+" "+victim, func(t *testing.T) {
				t.Parallel()
				c := twoRanges(t)
				left := c.leader(3)
				right := c.other(left)
				if victim == "both" {
					right = left
				}
				c.lead(10, right)
				d := c.drive()
				left = c.leader(3)
				if after != "begin" {
					d.mustFreeze(t)
				}
				if after == "trigger" {
					go d.own(pontoonpb.MergeStep_TRIGGER)
				}
				dead := right
				if victim == "left" {
					dead = left
				}
				dead.powerLoss(uint64(len(after)))
				d.leave() // a driver that goes on is the other tests' matter
				c.put("b", "left")
				c.put("y", "right")
				dead.powerOn()
				c.mustHave("a", "old-a")
				c.mustHave("x", "old-x")
				c.mustHave("b", "left")
				c.mustHave("y", "right")
				c.put("z", "again")
				c.mustAgree(3)
			})
		}
	}
}

// P46: a frozen right leader serves, evaluates and closes nothing, whatever it
// believes of its leader lease; and so does the next one.
func TestFrozenServesNothing_P46(t *testing.T) {
	c := twoRanges(t)
	d := c.drive()
	d.mustFreeze(t)
	closed := map[proto.NodeID]proto.Revision{}
	for round := range 2 {
		l := c.leader(10)
		c.wait("lease", func() bool { return l.store.replica(10).status().LeaderLeaseValid })
		if err := l.at(10, getOp("x", c.read())); !proto.HasCode(err, pontoonpb.RangeErrorCode_NOT_PROPOSED) {
			t.Fatalf("read of a frozen range: %v", err)
		}
		if err := l.at(10, putOp("x", "new")); !proto.HasCode(err, pontoonpb.RangeErrorCode_NOT_PROPOSED) {
			t.Fatalf("write to a frozen range: %v", err)
		}
		if !l.store.replica(10).status().Frozen {
			t.Fatal("not shown as frozen")
		}
		c.put("a", "more numbers")
		for _, nd := range c.nodes {
			nd.store.PushClosed(c.read())
			at := nd.store.replica(10).closed()
			if before, ok := closed[nd.id]; ok && at > max(before, proto.Revision(d.step.RightClosed)) {
				t.Fatalf("node %d: closed went from %d to %d", nd.id, before, at)
			}
			closed[nd.id] = at
		}
		if round == 0 {
			c.lead(10, c.other(l))
		}
	}
	d.mustTrigger(t)
	d.leave()
	c.put("x", "new")
	c.mustHave("x", "new")
	c.mustBeGone(10)
}

// P46: only the left log decides. Without a driver the left leader aborts, then
// the right range serves again, and the trigger comes too late.
func TestAbandonedMergeIsAborted_P46(t *testing.T) {
	c := twoRanges(t)
	d := c.drive()
	d.mustFreeze(t)
	d.leave()
	c.put("x", "after")
	c.put("a", "after")
	reply := d.own(pontoonpb.MergeStep_TRIGGER)
	if reply.Error.GetCode() != pontoonpb.RangeErrorCode_REFUSED {
		t.Fatalf("trigger after the abort: %v", reply)
	}
	c.mustHave("x", "after")
	c.split("c", 20) // nothing is remembered
	c.split("y", 21)
	c.merge("c", 10)
	c.mustHave("x", "after")
}

// P46: what was only begun is aborted by the left leader, too.
func TestBegunMergeIsAborted_P46(t *testing.T) {
	c := twoRanges(t)
	c.drive().leave()
	c.wait("the range may be split again", func() bool {
		_, err := c.do(ctxFor(t, 5*time.Second), splitOp(c, "c", 20))
		return err == nil
	})
}

// P46: steps that arrive late change nothing for good: FREEZE of an attempt
// that is over, UNFREEZE and ABORT of one that was triggered.
func TestLateMergeSteps_P46(t *testing.T) {
	c := twoRanges(t)
	d := c.drive()
	d.mustFreeze(t)
	d.giveUp()
	d.leave()
	c.put("x", "1")
	c.mustDo(mergeStepOp(d.step.Right, d.as(pontoonpb.MergeStep_FREEZE)))
	c.put("x", "2") // it asked, and serves again
	d2 := c.drive()
	d2.mustFreeze(t)
	c.mustDo(mergeStepOp(d.step.Right, d.as(pontoonpb.MergeStep_UNFREEZE))) // another attempt's
	if err := c.leader(10).at(10, getOp("x", c.read())); !proto.HasCode(err, pontoonpb.RangeErrorCode_NOT_PROPOSED) {
		t.Fatalf("unfrozen by another attempt: %v", err)
	}
	for _, kind := range []pontoonpb.MergeStep_Kind{pontoonpb.MergeStep_TRIGGER, pontoonpb.MergeStep_BEGIN} {
		_, err := c.do(ctxFor(t, time.Second), mergeStepOp(d2.step.Left, d2.as(kind)))
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED) {
			t.Fatalf("%s from elsewhere: %v", kind, err)
		}
	}
	d2.mustTrigger(t)
	d2.leave()
	c.put("x", "3")
	c.split("m", 11) // at the same key: who asks must not take this for an abort
	abort := mergeStepOp(d2.step.Left, d2.as(pontoonpb.MergeStep_ABORT))
	for range 2 {
		if _, err := c.do(ctxFor(t, 5*time.Second), abort); !proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED) {
			t.Fatalf("abort of a merge that was triggered: %v", err)
		}
		c.lead(3, c.other(c.leader(3)))
	}
	d2.r = c.leader(3).store.replica(3)
	d2.forget()
	c.mustDo(abort)
}

// P46, P45: a node that slept through the trigger takes the right range in by
// its log, or by a raft snapshot that carries both; until then its right replica
// serves nothing, and afterwards nothing brings it back.
func TestNodeAsleepDuringMerge_P46(t *testing.T) {
	for _, way := range []string{"log", "snapshot", "power loss, log", "power loss, snapshot"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			entries := uint64(1000)
			if way == "snapshot" || way == "power loss, snapshot" {
				entries = 16
			}
			c := newCluster(t, 3, func(o *Options) { o.LogEntries, o.LogEntriesMax = entries, 2*entries })
			c.put("x", "1")
			c.split("m", 10)
			asleep := c.other(c.leader(3))
			c.lead(10, asleep)
			d := c.drive()
			d.mustFreeze(t)
			lost := way == "power loss, log" || way == "power loss, snapshot"
			if lost {
				asleep.powerLoss(7)
			} else {
				c.isolate(asleep.id, true)
			}
			d.mustTrigger(t)
			d.leave()
			for i := range 100 {
				c.put(fmt.Sprint("a", i), "left")
				c.put(fmt.Sprint("x", i), "right")
			}
			if entries == 16 {
				triggered := uint64(d.r.published.Load().index)
				c.wait("the trigger is no longer in the log", func() bool {
					c.put("b", "more")
					first, err := c.leader(3).engine.Log(3).FirstIndex()
					return err == nil && first > triggered
				})
			}
			if lost {
				asleep.powerOn()
			} else {
				if err := asleep.at(10, getOp("x", c.read())); err == nil {
					t.Fatal("a right replica that missed the trigger served")
				}
				c.isolate(asleep.id, false)
			}
			c.mustBeGone(10)
			c.mustAgree(3)
			next, err := asleep.engine.Tombstone(10)
			if err != nil || next == 0 {
				t.Fatalf("tombstone: %v %v", next, err)
			}
			if r, _ := asleep.store.uninitialised(10, 99); r != nil {
				t.Fatalf("a late message revived it: %v", r)
			}
			asleep.powerLoss(3)
			asleep.powerOn()
			c.mustAgree(3)
			c.mustHave("x99", "right")
		})
	}
}

// P46: what a replica said to have applied is found applied after a power loss:
// the trigger of its left neighbour relies on it.
func TestWaitAppliedIsDurable_P46(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.split("m", 10)
	c.put("x", "1")
	nd := c.other(c.leader(10))
	index := c.leader(10).store.replica(10).published.Load().index
	op := mergeStepOp(&pontoonpb.Descriptor{RangeId: 10, Span: &pontoonpb.Span{Start: []byte("\x03m")}}, nil)
	op.Op = &pontoonpb.RangeOp_WaitApplied{WaitApplied: &pontoonpb.WaitAppliedOp{Index: uint64(index)}}
	if err := c.leader(10).store.callUntil(ctxFor(t, 10*time.Second), nd.id, op); err != nil {
		t.Fatal(err)
	}
	nd.powerLoss(0) // of what was not synced nothing is left
	e := nd.openEngine()
	if got := e.Log(10).Applied().Index; got < index {
		t.Errorf("applied up to %d, said %d", got, index)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// count returns how many keys a range holds, as it maintains it.
func (c *cluster) count(key string) int64 {
	c.t.Helper()
	var n int64
	c.wait("a count", func() bool {
		for _, nd := range c.nodes {
			for _, d := range nd.store.known(keys.Point(keys.User([]byte(key)))) {
				start, end := keys.UserRange(proto.SpanOf(d.Span))
				op := &pontoonpb.RangeOp{RangeId: d.RangeId, Span: d.Span, Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{
					ReadRevision: int64(c.read()), Request: &pb.RangeRequest{Key: start, RangeEnd: end, CountOnly: true}, CountExact: true}}}
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				reply := nd.store.Do(ctx, op)
				cancel()
				if reply.Error == nil {
					n = reply.GetRead().Count
					return true
				}
			}
		}
		return false
	})
	return n
}

// P42: counts of a merged range are right at once and stay so.
func TestMergeAddsCounts_P42(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i := range 30 {
		c.put(fmt.Sprintf("k%02d", i), "v")
	}
	right := uint64(10)
	for round := range 3 {
		c.split(fmt.Sprintf("k%02d", 5+10*round), right)
		if round > 0 {
			c.wait("both sides counted", func() bool {
				l := c.leader(3).store.replica(3)
				n := c.leader(3).store.replica(proto.RangeID(right))
				return n != nil && l.counts.now() >= 0 && n.counts.now() >= 0
			})
		}
		c.merge("k", right)
		if n := c.count("k"); n != 30 {
			t.Fatalf("round %d: %d keys, want 30", round, n)
		}
		right++
	}
	for _, nd := range c.nodes {
		c.wait("counted", func() bool { return nd.store.replica(3).counts.now() == 30 })
	}
}

// A merge that cannot be is refused with a reason.
func TestMergeRefusals(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.split("m", 10)
	c.split("t", 11)
	for _, bad := range []struct {
		left  string
		right uint64
	}{{"a", 11}, {"m", 3}, {"a", 99}, {"a", 3}} {
		_, err := c.do(ctxFor(t, 5*time.Second), mergeOp(c, bad.left, bad.right))
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED) {
			t.Errorf("merge of %q with range %d: %v", bad.left, bad.right, err)
		}
	}
	left := &pontoonpb.Descriptor{RangeId: 2, Span: keys.LeaseSpan.Wire()}
	right := &pontoonpb.Descriptor{RangeId: 3, Span: keys.UserSpan.Wire()}
	if mergeable(left, right) == nil {
		t.Error("leases and keys in one range")
	}
	rep := func(n uint64, role pontoonpb.ReplicaRole) []*pontoonpb.Replica {
		return []*pontoonpb.Replica{{NodeId: n, ReplicaId: 1, Role: role}}
	}
	left.Span = &pontoonpb.Span{Start: keys.UserSpan.Start, End: []byte("\x03m")}
	right.Span = &pontoonpb.Span{Start: []byte("\x03m"), End: keys.Max}
	left.Replicas, right.Replicas = rep(1, 0), rep(2, 0)
	if mergeable(left, right) == nil {
		t.Error("replicas on different nodes")
	}
	right.Replicas = rep(1, pontoonpb.ReplicaRole_REPLICA_LEARNER)
	if mergeable(left, right) == nil {
		t.Error("a learner")
	}
	right.Replicas = rep(1, 0)
	if err := mergeable(left, right); err != nil {
		t.Error(err)
	}
}
