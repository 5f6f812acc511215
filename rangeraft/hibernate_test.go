package rangeraft

import (
	"fmt"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// sleepy is a cluster whose ranges fall asleep soon.
func sleepy(t *testing.T) *cluster {
	return newCluster(t, 3, func(o *Options) { o.HibernateAfter = 100 * time.Millisecond })
}

// hibernates waits until every live replica of the range sleeps.
func (c *cluster) hibernates(id proto.RangeID) {
	c.t.Helper()
	c.wait(fmt.Sprint("range ", id, " to sleep"), func() bool {
		for _, nd := range c.nodes {
			if s := nd.live(); s != nil {
				if r := s.replica(id); r == nil || !r.hibernating.Load() {
					return false
				}
			}
		}
		return true
	})
}

// P48: an idle range sleeps on all its nodes; a read neither wakes it nor needs
// a round, a write wakes it without an election.
func TestSleepsReadsAndWakes_P48(t *testing.T) {
	c := sleepy(t)
	c.put("x", "1")
	c.hibernates(proto.UserRange)
	l := c.leader(proto.UserRange)
	r := l.store.replica(proto.UserRange)
	term := r.servingTerm.Load()
	for range 20 {
		c.mustHave("x", "1")
	}
	if !r.hibernating.Load() {
		t.Error("reads woke the range")
	}
	if !r.status().LeaderLeaseValid || !r.status().Hibernating {
		t.Error("a sleeping leader has no lease, or does not say that it sleeps")
	}
	for i := range 3 {
		c.put("x", fmt.Sprint(i+2))
		c.mustHave("x", fmt.Sprint(i+2))
		c.hibernates(proto.UserRange)
	}
	if r.servingTerm.Load() != term {
		t.Error("waking took an election")
	}
}

// P48, P3: the lease of a sleeping leader lapses when the nodes of its voters
// acknowledge nothing, and they choose another one.
func TestSleepingLeaderThatIsCutOff_P48(t *testing.T) {
	c := sleepy(t)
	c.put("x", "1")
	c.hibernates(proto.UserRange)
	old := c.leader(proto.UserRange)
	r := old.store.replica(proto.UserRange)
	c.isolate(old.id, true)
	c.wait("another leader", func() bool {
		for _, nd := range c.nodes {
			if nd != old && nd.store.replica(proto.UserRange).servingTerm.Load() > 0 {
				if r.leaseEnd() > r.s.opts.Now() {
					t.Error("two leases at once")
				}
				return true
			}
		}
		return false
	})
	c.wait("a write", func() bool { // the old leader takes some and never answers
		_, err := c.do(ctxFor(t, time.Second), putOp("x", "2"))
		return err == nil
	})
	if reply := old.store.Do(ctxFor(t, 200*time.Millisecond), getOp("x", c.read())); reply.Error == nil {
		t.Error("the old leader answers a read")
	}
	c.isolate(old.id, false)
	c.mustHave("x", "2")
	c.hibernates(proto.UserRange)
}

// P48: who restarts is put to sleep again without waking the range.
func TestRestartedFollowerIsPutToSleep_P48(t *testing.T) {
	c := sleepy(t)
	c.put("x", "1")
	c.hibernates(proto.UserRange)
	l := c.leader(proto.UserRange)
	for i, id := range c.ids {
		if nd := c.nodes[id]; nd != l {
			term := l.store.replica(proto.UserRange).servingTerm.Load()
			nd.crash(uint64(i))
			c.mustHave("x", "1")
			nd.start(false)
			c.wait("the restarted replica to sleep under its leader", func() bool {
				r := nd.store.replica(proto.UserRange)
				r.mu.Lock()
				defer r.mu.Unlock()
				return r.slumber.under == l.id
			})
			if r := l.store.replica(proto.UserRange); !r.hibernating.Load() || r.servingTerm.Load() != term {
				t.Error("a follower's restart woke the leader")
			}
		}
	}
	c.put("x", "2")
	c.mustHave("x", "2")
}

// P48: a restart of all nodes ends with leaders everywhere, asked for or not.
func TestColdRangesFindLeaders_P48(t *testing.T) {
	c := sleepy(t)
	c.put("a", "1")
	for i, key := range []string{"p", "k", "e"} {
		c.mustDo(&pontoonpb.RangeOp{Span: keys.Point(keys.User([]byte("a"))).Wire(), Op: &pontoonpb.RangeOp_Split{
			Split: &pontoonpb.SplitOp{Key: keys.User([]byte(key)), RightRangeId: uint64(20 + i)}}})
	}
	for i, nd := range c.nodes {
		nd.crash(uint64(i))
	}
	for _, nd := range c.nodes {
		nd.start(false)
	}
	for _, id := range []proto.RangeID{proto.UserRange, 20, 21, 22} {
		c.wait(fmt.Sprint("a leader of range ", id), func() bool {
			for _, nd := range c.nodes {
				if r := nd.store.replica(id); r != nil && r.servingTerm.Load() > 0 {
					return true
				}
			}
			return false
		})
	}
	c.mustHave("a", "1")
}

// P19: what sleeps stays in the side stream, on the leader and elsewhere.
func TestSleepingRangesAreClosed_P19(t *testing.T) {
	c := sleepy(t)
	c.put("x", "1")
	c.mustDo(&pontoonpb.RangeOp{Span: keys.Point(keys.User([]byte("a"))).Wire(), Op: &pontoonpb.RangeOp_Split{
		Split: &pontoonpb.SplitOp{Key: keys.User([]byte("m")), RightRangeId: 20}}})
	c.hibernates(20)
	for i := range 5 {
		c.put("b", fmt.Sprint(i)) // of the left range
	}
	rev := c.read()
	for _, nd := range c.nodes {
		nd.store.opts.Sequencer.ObservePush(rev)
	}
	c.wait("the sleeping range to be closed everywhere", func() bool {
		for _, nd := range c.nodes {
			if nd.store.replica(20).closed() < rev {
				return false
			}
		}
		return true
	})
	if !c.leader(20).store.replica(20).hibernating.Load() {
		t.Error("closing woke the range")
	}
}
