package rangeraft

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// follow reads a feed until its checkpoint reached rev.
func follow(t *testing.T, f Feed, rev int64) (events []*pontoonpb.ChangeEvent, closed int64) {
	t.Helper()
	ctx := ctxFor(t, 10*time.Second)
	for closed < rev {
		m, err := f.Recv(ctx)
		if err != nil {
			t.Fatalf("feed at %d, want %d: %v", closed, rev, err)
		}
		if m.Ended != nil {
			t.Fatalf("feed ended: %v", m.Ended)
		}
		events = append(events, m.Events...)
		closed = max(closed, m.Checkpoint.GetClosed())
	}
	return events, closed
}

// P22, P24: the feed of every replica, local or over the wire, delivers each
// change once and closes by itself, also while the range is idle.
func TestFeedsOfAllReplicas_P22(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.put("before", "1")
	req := func() *pontoonpb.FeedRequest {
		return &pontoonpb.FeedRequest{RangeId: 3, Span: keys.UserSpan.Wire(), From: 2}
	}
	var feeds []Feed
	for _, nd := range c.nodes {
		f, err := nd.store.OpenFeed(ctxFor(t, time.Second), req())
		if err != nil {
			t.Fatal(err)
		}
		feeds = append(feeds, f)
	}
	remote, err := c.nodes[1].store.Transport().OpenFeed(ctxFor(t, time.Second), 2, req())
	if err != nil {
		t.Fatal(err)
	}
	feeds = append(feeds, remote)
	last := int64(0)
	for i := range 50 {
		last = c.put(fmt.Sprint("k", i), "v")
	}
	for i, f := range feeds {
		events, _ := follow(t, f, last)
		seen := map[int64]int{}
		for _, e := range events {
			seen[e.Event.Kv.ModRevision]++
		}
		for rev := int64(2); rev <= last; rev++ {
			if seen[rev] != 1 {
				t.Fatalf("feed %d delivered revision %d %d times", i, rev, seen[rev])
			}
		}
		f.Close()
	}
}

// P26: a push closes the idle ranges of every leader at once, without waiting
// for a tick. In virtual time, which stands still while anybody is at work.
func TestPushClosesIdleRanges_P26(t *testing.T) {
	const tick = 200 * time.Millisecond
	virtually(t, 3, func(o *Options) { o.TickInterval = tick }, func(t *testing.T, c *cluster) {
		c.put("a", "1")
		var feeds []Feed
		for _, nd := range c.nodes {
			f, err := nd.store.OpenFeed(ctxFor(t, time.Minute), &pontoonpb.FeedRequest{RangeId: 3, Span: keys.UserSpan.Wire(), From: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			feeds = append(feeds, f)
		}
		for range 3 {
			rev := c.seq.take(7).First + 6 // numbers used by nobody here
			begin := time.Now()
			c.nodes[2].store.PushClosed(rev)
			for _, f := range feeds {
				follow(t, f, int64(rev))
			}
			if d := time.Since(begin); d > tick/4 {
				t.Fatalf("closing took %v, longer than a push", d)
			}
		}
	})
}

// P19: closed revisions of idle ranges advance without leader leases too, by
// quorum rounds.
func TestIdleClosingWithoutLeases_P5(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.DisableLeaderLease = true })
	c.put("a", "1")
	rev := c.seq.take(5).First + 4
	for _, nd := range c.nodes {
		nd.store.PushClosed(rev)
	}
	for _, nd := range c.nodes {
		c.wait("closed", func() bool {
			at, covered := nd.store.Closed(keys.UserSpan)
			return covered && at >= rev
		})
	}
}

// P19, P5: a number that a cut-off leader learns is not one that it closes at, though
// its range leaves the side stream at each number and would enter again.
func TestNoIdleClosingWithoutAQuorum_P5(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.DisableLeaderLease = true })
	rev := proto.Revision(c.put("a", "1"))
	old := c.leader(proto.UserRange)
	r := old.store.replica(proto.UserRange)
	c.wait("closed", func() bool { return r.closed() >= rev })
	c.isolate(old.id, true)
	for beyond := range proto.Revision(10) {
		c.seq.mu.Lock()
		c.seq.last = rev + 100 + beyond
		c.seq.mu.Unlock()
		old.store.PushClosed(rev + 100 + beyond)
		c.wait("the number rises", func() bool { return old.store.closing.newest() >= rev+100+beyond })
	}
	c.succeeded(old)
	if at := r.closed(); at > rev+99 {
		t.Fatalf("closed at %d without a quorum that heard of it", at)
	}
}

// P19, P18: a cut-off leader closes nothing beyond its lease, and nothing is
// ever written at or below what a replica called closed.
func TestNothingWrittenBelowClosed_P19(t *testing.T) {
	c := newCluster(t, 3, nil)
	stop := make(chan struct{})
	violated := make(chan string, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, nd := range c.nodes {
				at, covered := nd.store.Closed(keys.UserSpan)
				if !covered {
					continue
				}
				// Everything at or below `at` is applied there: a read of the local
				// history now and later must be the same.
				now := historyHash(c, nd, at)
				later := historyHash(c, nd, at)
				if now != later {
					violated <- fmt.Sprintf("node %d changed below its closed revision %d", nd.id, at)
				}
				nd.store.PushClosed(c.read())
			}
		}
	}()
	for i := range 60 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, _ = c.do(ctx, putOp(fmt.Sprint("k", i%7), fmt.Sprint(i)))
		cancel()
		if i%20 == 10 {
			old := c.leader(3)
			c.isolate(old.id, true)
			c.succeeded(old)
			defer c.isolate(old.id, false)
			c.isolate(old.id, false)
		}
	}
	close(stop)
	<-done
	select {
	case v := <-violated:
		t.Fatal(v)
	default:
	}
}

func historyHash(c *cluster, nd *testNode, to proto.Revision) string {
	reply := nd.store.Do(ctxFor(c.t, time.Second), &pontoonpb.RangeOp{RangeId: 3, Span: keys.UserSpan.Wire(),
		Op: &pontoonpb.RangeOp_Hash{Hash: &pontoonpb.HashOp{Revision: int64(to)}}})
	return fmt.Sprint(reply.GetHash().GetHash(), reply.GetHash().GetVersions(), reply.Error)
}

// P21: a feed or operation outside of the descriptor is refused with all that
// is known of the keys.
func TestSpanOutsideIsRefused_P21(t *testing.T) {
	c := newCluster(t, 1, nil)
	if _, err := c.do(ctxFor(t, 10*time.Second), splitOp(c, "m", 10)); err != nil {
		t.Fatal(err)
	}
	s := c.nodes[1].store
	_, err := s.OpenFeed(ctxFor(t, time.Second), &pontoonpb.FeedRequest{RangeId: 3, Span: keys.UserSpan.Wire()})
	e := proto.ToWire(err)
	if e.Code != pontoonpb.RangeErrorCode_RANGE_MISMATCH || len(e.Descriptors) != 2 {
		t.Fatalf("feed over two ranges: %v", e)
	}
	op := putOp("z", "1")
	op.RangeId = 3
	reply := s.Do(ctxFor(t, time.Second), op)
	if reply.Error.GetCode() != pontoonpb.RangeErrorCode_RANGE_MISMATCH || len(reply.Error.Descriptors) != 1 ||
		reply.Error.Descriptors[0].RangeId != 10 {
		t.Fatalf("put outside: %v", reply.Error)
	}
}

// P21, P22: a split ends feeds that reach over both sides, and the halves go on
// from the last checkpoint.
func TestFeedAcrossSplit_P21(t *testing.T) {
	c := newCluster(t, 3, nil)
	first := c.put("a", "1")
	f, err := c.nodes[1].store.OpenFeed(ctxFor(t, time.Second), &pontoonpb.FeedRequest{RangeId: 3, Span: keys.UserSpan.Wire(), From: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, closed := follow(t, f, first)
	if _, err := c.do(ctxFor(t, 20*time.Second), splitOp(c, "m", 10)); err != nil {
		t.Fatal(err)
	}
	ctx := ctxFor(t, 10*time.Second)
	for {
		m, err := f.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m.Ended != nil {
			if m.Ended.Code != pontoonpb.RangeErrorCode_RANGE_MISMATCH || len(m.Ended.Descriptors) != 2 {
				t.Fatalf("feed ended with %v", m.Ended)
			}
			break
		}
		closed = max(closed, m.Checkpoint.GetClosed())
	}
	right := c.put("x", "1")
	var half Feed
	c.wait("right side is here", func() bool {
		half, err = c.nodes[1].store.OpenFeed(ctx, &pontoonpb.FeedRequest{RangeId: 10, From: closed + 1,
			Span: &pontoonpb.Span{Start: []byte("\x03m"), End: keys.Max}})
		return err == nil
	})
	defer half.Close()
	events, _ := follow(t, half, right)
	if len(events) != 1 || string(events[0].Event.Kv.Key) != "x" {
		t.Fatalf("right side delivered %v", events)
	}
}

// A serializable read is served by any replica, at what it knows to be closed
// and not above.
func TestSerializableReadsBelowClosed(t *testing.T) {
	c := newCluster(t, 3, nil)
	rev := proto.Revision(c.put("a", "1"))
	for _, nd := range c.nodes {
		nd.store.PushClosed(rev)
		c.wait("closed", func() bool { at, ok := nd.store.Closed(keys.UserSpan); return ok && at >= rev })
		op := getOp("a", rev)
		op.RangeId = uint64(proto.UserRange)
		op.GetRead().Serializable = true
		reply := nd.store.Do(ctxFor(t, time.Second), op)
		if reply.Error != nil || string(reply.GetRead().Kvs[0].Value) != "1" {
			t.Fatalf("node %d: %v", nd.id, reply)
		}
		op.GetRead().ReadRevision = 1 << 40
		if reply := nd.store.Do(ctxFor(t, time.Second), op); reply.Error.GetCode() != pontoonpb.RangeErrorCode_STALE_CLOSED {
			t.Fatalf("node %d served above its closed revision: %v", nd.id, reply)
		}
	}
}

// P41: a read below the range's floor is refused, with etcd's answer if the
// client named the revision.
func TestFloorInTheView_P41(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i := range 10 {
		c.put("a", fmt.Sprint(i))
	}
	c.mustDo(&pontoonpb.RangeOp{Span: userPoint("a").Wire(), Op: &pontoonpb.RangeOp_Compact{Compact: &pontoonpb.CompactOp{
		Floor: 8, WaitDropped: true}}})
	for _, any := range []bool{true, false} {
		op := getOp("a", c.read())
		op.GetRead().Request.Revision = 7
		op.GetRead().AnyFloor = any
		_, err := c.do(ctxFor(t, 5*time.Second), op)
		e := proto.ToWire(err)
		want := pontoonpb.RangeErrorCode_ETCD
		if any {
			want = pontoonpb.RangeErrorCode_BELOW_FLOOR
		}
		if err == nil || e.Code != want || any && e.Floor != 8 {
			t.Fatalf("read below the floor, any=%v: %v", any, err)
		}
	}
	op := getOp("a", c.read())
	op.GetRead().Request.Revision = 8
	if reply := c.mustDo(op); string(reply.GetRead().Kvs[0].Value) != "6" {
		t.Fatalf("read at the floor: %v", reply)
	}
}
