package rangeraft

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// P47, P23: a replica that the log has left behind is caught up by a raft
// snapshot, its feeds end, and it survives a power loss right afterwards.
func TestLaggingReplicaTakesSnapshot_P47(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.LogEntries, o.LogEntriesMax = 16, 32 })
	c.put("first", "1")
	l := c.leader(proto.UserRange)
	var lagging *testNode
	for _, nd := range c.nodes {
		if nd != l {
			lagging = nd
		}
	}
	c.wait("replicated", func() bool { return lagging.store.replica(3).published.Load().index >= 12 })
	feed, err := lagging.store.OpenFeed(ctxFor(t, time.Second), &pontoonpb.FeedRequest{RangeId: 3,
		Span: c.desc[0].Span, From: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	c.isolate(lagging.id, true)
	for i := range 200 {
		c.put(fmt.Sprint("k", i), fmt.Sprint(i))
	}
	c.wait("log truncated beyond the lagging replica", func() bool {
		first, _ := c.leader(3).engine.Log(3).FirstIndex()
		return proto.Index(first) > lagging.store.replica(3).published.Load().index+1
	})
	// A feed that is open while the snapshot's position shows would be told that it
	// is closed there, without the changes that the snapshot stands for.
	r := lagging.store.replica(3)
	behind := r.published.Load().index
	var misled atomic.Bool
	var watching sync.WaitGroup
	for range 8 { // many, so that the hub's reset has to wait for its turn
		watching.Go(func() {
			for shows := false; !shows; {
				shows = r.published.Load().index > behind
				if r.hub.Subscribers() > 0 && shows {
					misled.Store(true)
				}
			}
		})
	}
	c.isolate(lagging.id, false)
	c.wait("caught up", func() bool {
		return r.published.Load().index >= c.leader(3).store.replica(3).published.Load().index
	})
	watching.Wait()
	if misled.Load() {
		t.Fatal("a feed is open while the position of a raft snapshot shows")
	}
	for {
		m, err := feed.Recv(ctxFor(t, 10*time.Second))
		if err != nil {
			t.Fatalf("feed ended without a word: %v", err)
		}
		if m.Ended != nil {
			break
		}
	}
	lagging.crash(0)
	lagging.start(false)
	v, ok, err := lagging.engine.Get([]byte("\x03k199"), 1<<40)
	if err != nil || !ok || string(v.Value) != "199" {
		t.Fatalf("after the crash k199 is %v %v %v", v, ok, err)
	}
}

// A log is cut short, and yet a leader's node that went away returns to it: its
// successor does not know how far it was.
func TestOldLeaderReturnsToTheLog(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.LogEntries, o.LogEntriesMax = 16, 100 })
	for i := range 150 {
		c.put(fmt.Sprint("before", i), "1")
	}
	c.wait("log cut short", func() bool {
		first, _ := c.leader(3).engine.Log(3).FirstIndex()
		return first > 130
	})
	away := c.leader(3)
	away.crash(0)
	for i := range 60 {
		c.put(fmt.Sprint("after", i), fmt.Sprint(i))
	}
	r := c.leader(3).store.replica(3)
	c.wait("truncated if ever", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.ledTicks > r.nextTruncate+r.s.opts.ElectionTicks
	})
	away.start(false)
	c.wait("caught up", func() bool {
		return away.store.replica(3).published.Load().index >= c.leader(3).store.replica(3).published.Load().index
	})
	if n := counted(t, c.leader(3).store.metrics.snapshotsSent.WithLabelValues("ok")); n != 0 {
		t.Errorf("%v raft snapshots were sent", n)
	}
	c.mustHave("after59", "59")
}

// A log of large entries is cut by its size, soon, and again as soon as it has
// grown: what is cut in time is never written to a table.
func TestLogIsCutBySize(t *testing.T) {
	const size = 64 << 10
	c := newCluster(t, 3, func(o *Options) { o.LogBytes = size })
	value := strings.Repeat("x", size/4)
	kept := func() uint64 { // after one more large entry
		c.put("large", value)
		l := c.leader(3)
		first, _ := l.engine.Log(3).FirstIndex()
		return uint64(l.store.replica(3).published.Load().index) + 1 - first
	}
	for range 40 {
		kept()
	}
	c.wait("log cut to its bytes", func() bool { return kept() < 8 })
	r := c.leader(3).store.replica(3)
	r.mu.Lock()
	r.nextTruncate = r.ledTicks + 1<<30 // a truncation that was done is not waited for
	r.mu.Unlock()
	for range 40 {
		kept()
	}
	c.wait("cut again", func() bool { return kept() < 8 })
}

func splitOp(c *cluster, key string, right uint64) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{
		Span: &pontoonpb.Span{Start: []byte("\x03" + key), End: []byte("\x03" + key + "\x00")},
		Op:   &pontoonpb.RangeOp_Split{Split: &pontoonpb.SplitOp{Key: []byte("\x03" + key), RightRangeId: right}},
	}
}

// P45: a split under writes loses and repeats nothing; both sides are served
// and replicated on every node.
func TestSplitUnderWrites_P45(t *testing.T) {
	virtually(t, 3, nil, splitUnderWrites) // an election leaves a split in doubt
}

func splitUnderWrites(t *testing.T, c *cluster) {
	stop := make(chan struct{})
	done := make(chan map[string]string)
	for w := range 3 {
		go func() {
			acked := map[string]string{}
			pace := time.NewTicker(time.Millisecond)
			defer pace.Stop()
			for i := 0; ; i++ {
				select {
				case <-stop:
					done <- acked
					return
				case <-pace.C:
				}
				k, v := fmt.Sprintf("k%03d", (i*7+w*31)%300), fmt.Sprintf("%d-%d", w, i)
				k = fmt.Sprint(k, "-", w)
				reply, err := c.do(ctxFor(t, 20*time.Second), putOp(k, v))
				if err == nil {
					acked[k] = v
				} else {
					t.Errorf("put: %v %v", err, reply)
				}
			}
		}()
	}
	for i, key := range []string{"k100", "k200", "k050"} {
		reply, err := c.do(ctxFor(t, 20*time.Second), splitOp(c, key, uint64(10+i)))
		if err != nil {
			t.Fatalf("split at %s: %v", key, err)
		}
		if reply.GetSplit().Right.RangeId != uint64(10+i) {
			t.Fatalf("split answered %v", reply.GetSplit())
		}
		c.put(key+"-after", "served")
	}
	close(stop)
	for range 3 {
		for k, v := range <-done {
			c.mustHave(k, v)
		}
	}
	for _, nd := range c.nodes {
		c.wait("every node has the four ranges", func() bool { return len(nd.store.Statuses()) == 4 })
	}
}

// P45: a node that slept through a split gets the right side by applying it,
// and refuses a raft snapshot that overlaps its left side until then.
func TestNodeAsleepDuringSplit_P45(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.LogEntries, o.LogEntriesMax = 16, 32 })
	c.put("a", "1")
	l := c.leader(3)
	var asleep *testNode
	for _, nd := range c.nodes {
		if nd != l {
			asleep = nd
		}
	}
	c.isolate(asleep.id, true)
	if _, err := c.do(ctxFor(t, 20*time.Second), splitOp(c, "m", 10)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		c.put(fmt.Sprint("a", i), "left")
		c.put(fmt.Sprint("x", i), "right")
	}
	c.isolate(asleep.id, false)
	for _, id := range []proto.RangeID{3, 10} {
		c.wait(fmt.Sprint("range ", id, " caught up"), func() bool {
			r := asleep.store.replica(id)
			return r != nil && r.desc.Load() != nil &&
				r.published.Load().index >= c.leader(id).store.replica(id).published.Load().index
		})
	}
	v, ok, err := asleep.engine.Get([]byte("\x03x99"), 1<<40)
	if err != nil || !ok || string(v.Value) != "right" {
		t.Fatalf("x99 is %v %v %v", v, ok, err)
	}
}

// P45: of the right side of a split the one voter that slept through it has nothing, and
// cannot be told of it by a leader: there is none without its vote, once another voter is
// gone for good.
func TestSleeperVotesForTheRightSide_P45(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.LogEntries, o.LogEntriesMax = 16, 32 })
	c.put("a", "1")
	l := c.leader(3)
	var others []*testNode
	for _, nd := range c.nodes {
		if nd != l {
			others = append(others, nd)
		}
	}
	asleep, lost := others[0], others[1]
	c.isolate(asleep.id, true)
	if _, err := c.do(ctxFor(t, 20*time.Second), splitOp(c, "m", 10)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		c.put(fmt.Sprint("a", i), "left")
	}
	c.put("x99", "right")
	c.wait("its left log leaves the sleeper behind", func() bool {
		first, err := l.engine.Log(3).FirstIndex()
		return err == nil && proto.Index(first) > firstIndex+50
	})
	lost.stop()
	l.stop() // so that nothing that it sent as the leader is still under way
	l.start(false)
	c.isolate(asleep.id, false)
	c.put("a", "2")
	c.put("x", "2")
	c.mustHave("x99", "right")
}
