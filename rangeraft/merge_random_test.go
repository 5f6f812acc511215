package rangeraft

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	goproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// follower is a watcher over everything: it follows each range's feed on a
// node, and goes on from its checkpoints when ranges change.
type follower struct {
	c  *cluster
	nd *testNode

	mu     sync.Mutex
	closed map[string]int64 // by key: everything at or below was delivered
	got    map[string]map[int64]int
	bad    []string
}

// follow delivers one key's changes until ctx ends.
func (f *follower) follow(ctx context.Context, key string) {
	point := keys.Point(keys.User([]byte(key)))
	for ctx.Err() == nil {
		store := f.nd.enter()
		if store == nil {
			continue
		}
		for _, d := range store.known(point) {
			f.mu.Lock()
			from := f.closed[key] + 1
			f.mu.Unlock()
			feed, err := store.OpenFeed(ctx, &pontoonpb.FeedRequest{RangeId: d.RangeId, Span: point.Wire(), From: from})
			if err != nil {
				continue
			}
			f.read(ctx, key, from, feed)
			feed.Close()
		}
		f.nd.users.Done()
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
}

func (f *follower) read(ctx context.Context, key string, from int64, feed Feed) {
	for {
		m, err := feed.Recv(ctx)
		if err != nil || m.Ended != nil {
			return
		}
		f.mu.Lock()
		for _, e := range m.Events {
			rev := e.Event.Kv.ModRevision
			if rev < from {
				f.bad = append(f.bad, fmt.Sprintf("%s: %d delivered from %d on", key, rev, from))
			}
			if rev <= f.closed[key] {
				f.bad = append(f.bad, fmt.Sprintf("%s: %d delivered after closed %d", key, rev, f.closed[key]))
			}
			if f.got[key] == nil {
				f.got[key] = map[int64]int{}
			}
			f.got[key][rev]++
		}
		f.closed[key] = max(f.closed[key], m.Checkpoint.GetClosed())
		f.mu.Unlock()
	}
}

// writer puts rising values to its key and reads them back: a read sees at
// least what was acknowledged before it began.
func (c *cluster) rising(ctx context.Context, key string, acked map[int64]bool, bad func(string)) {
	last := 0
	for v := 1; ctx.Err() == nil; v++ {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		reply, err := c.do(call, putOp(key, fmt.Sprint(v)))
		if err == nil {
			acked[reply.GetWrite().Revision] = true
			last = v
		}
		reply, err = c.do(call, getOp(key, c.read()))
		cancel()
		if err != nil || last == 0 {
			continue
		}
		var got int
		if kvs := reply.GetRead().Kvs; len(kvs) > 0 {
			fmt.Sscan(string(kvs[0].Value), &got)
		}
		if got < last || got > v {
			bad(fmt.Sprintf("%s: read %d after %d was acknowledged", key, got, last))
		}
	}
}

// P22, P42, P45, P46: random splits, merges, leader moves and power losses under
// writes, reads and watches: every key's history is linear, its watchers see
// each change once and in order of closing, and counts are right.
func TestRandomSplitsAndMerges_P46(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.LogEntries, o.LogEntriesMax = 200, 400 })
	names := []string{"b", "f", "j", "n", "r", "v"}
	cuts := []string{"d", "h", "l", "p", "t"}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var bad []string
	note := func(s string) { mu.Lock(); defer mu.Unlock(); bad = append(bad, s) }
	f := &follower{c: c, nd: c.nodes[2], closed: map[string]int64{}, got: map[string]map[int64]int{}}
	acked := map[string]map[int64]bool{}
	for _, key := range names {
		own := map[int64]bool{}
		acked[key] = own
		f.closed[key] = 1
		wg.Go(func() { c.rising(ctx, key, own, note) })
	}
	watching, stopWatching := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	for _, key := range names {
		watchers.Go(func() { f.follow(watching, key) })
	}
	seed := rand.Uint64()
	t.Log("seed ", seed)
	merges := c.shuffle(rand.New(rand.NewPCG(seed, 1)), cuts, 8*time.Second)
	cancel()
	wg.Wait()
	end := c.put("b", "end")
	for _, nd := range c.nodes {
		nd.store.PushClosed(proto.Revision(end))
	}
	c.wait("watchers to catch up", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, key := range names {
			if f.closed[key] < end {
				return false
			}
		}
		return true
	})
	stopWatching()
	watchers.Wait()
	for _, s := range append(bad, f.bad...) {
		t.Error(s)
	}
	total := 0
	for _, key := range names {
		total += len(acked[key])
		for rev := range acked[key] {
			if f.got[key][rev] == 0 {
				t.Errorf("%s: the watcher missed %d", key, rev)
			}
		}
	}
	if merges == 0 || total < 100 {
		t.Fatalf("%d merges, %d writes", merges, total)
	}
	t.Logf("%d merges, %d writes", merges, total)
	ranges := c.settled()
	for _, d := range ranges {
		c.mustAgree(proto.RangeID(d.RangeId))
	}
	seen := int64(0)
	for _, d := range ranges {
		user, _ := keys.UserKey(d.Span.Start)
		seen += c.count(string(user))
	}
	if seen != int64(len(names)) {
		t.Errorf("ranges count %d keys, want %d", seen, len(names))
	}
}

// settled waits until all nodes hold the same ranges and no merge is under way,
// and returns them. One node's word is not enough: it may be a moment behind the
// last merge, whose answer comes from another one, and a merge may go on after the
// call for it has ended.
func (c *cluster) settled() []*pontoonpb.Descriptor {
	c.t.Helper()
	var ranges []*pontoonpb.Descriptor
	c.waitOr("all nodes to hold the same ranges", func() bool {
		ranges = c.nodes[1].store.known(keys.UserSpan)
		at := keys.UserSpan.Start
		for _, d := range ranges {
			if !bytes.Equal(at, d.Span.Start) {
				return false
			}
			at = d.Span.End
		}
		if !bytes.Equal(at, keys.UserSpan.End) {
			return false
		}
		for _, nd := range c.nodes {
			if !slices.EqualFunc(ranges, nd.store.known(keys.UserSpan), func(a, b *pontoonpb.Descriptor) bool { return goproto.Equal(a, b) }) || nd.merging() {
				return false
			}
		}
		return true
	}, func() string { return c.describe(proto.UserRange) })
	return ranges
}

// merging reports whether anything of a merge is under way on the node.
func (nd *testNode) merging() bool {
	for _, r := range nd.store.all() {
		r.mu.Lock()
		busy := r.driver != nil || r.merging()
		r.mu.Unlock()
		if busy {
			return true
		}
	}
	return false
}

// shuffle splits, merges, moves leaders and takes nodes down for a while; it
// returns how many merges went through.
func (c *cluster) shuffle(rnd *rand.Rand, cuts []string, d time.Duration) (merges int) {
	next := uint64(100)
	var down *testNode
	for end := time.Now().Add(d); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		up := c.nodes[1].store.known(keys.UserSpan)
		switch n := rnd.IntN(10); {
		case n < 4:
			next++
			_, _ = c.do(ctx, splitOp(c, cuts[rnd.IntN(len(cuts))], next))
		case n < 8 && len(up) > 1:
			i := rnd.IntN(len(up) - 1)
			user, _ := keys.UserKey(up[i].Span.Start)
			if _, err := c.do(ctx, mergeOp(c, string(user), up[i+1].RangeId)); err == nil {
				merges++
			} else {
				c.t.Log("not merged: ", err)
			}
		case n == 8:
			r := up[rnd.IntN(len(up))]
			_, _ = c.do(ctx, &pontoonpb.RangeOp{Span: keys.Point(r.Span.Start).Wire(), Op: &pontoonpb.RangeOp_Transfer{
				Transfer: &pontoonpb.TransferOp{ToNode: uint64(1 + rnd.IntN(3))}}})
		case down == nil && rnd.IntN(4) == 0:
			down = c.nodes[3]
			down.powerLoss(rnd.Uint64())
			cancel()
			continue // one step without it
		}
		cancel()
		if down != nil {
			down.powerOn()
			down = nil
		}
	}
	if down != nil {
		down.powerOn()
	}
	return merges
}
