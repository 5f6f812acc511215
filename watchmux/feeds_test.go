package watchmux

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/watchmux/merge"
)

// P23, P24: with splits, merges, dying feeds, txns over ranges and watchers that come
// and go, clients see every event once and in order.
func TestSplitsAndDyingFeeds_P21_P23_P24(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{RefreshInterval: 5 * time.Millisecond})
	rng := rand.New(rand.NewPCG(1, 2))
	type seen struct {
		mu   sync.Mutex
		revs []int64
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all []*seen
	var wg sync.WaitGroup
	follow := func(from int64) {
		s := &seen{}
		all = append(all, s)
		c := h.client.Watch(ctx, "a", clientv3.WithRange("zz"), clientv3.WithRev(from))
		wg.Go(func() {
			for r := range c {
				s.mu.Lock()
				for _, e := range r.Events {
					s.revs = append(s.revs, e.Kv.ModRevision)
				}
				s.mu.Unlock()
			}
		})
	}
	follow(2)
	for i := range 400 {
		k := string(rune('a' + rng.IntN(26)))
		if rng.IntN(4) == 0 {
			h.write(put(k, "v"), put(string(rune('a'+(int(k[0])-'a'+13)%26)), "w"))
		} else {
			h.write(put(k, "v"), put(k+"2", "w"))
		}
		switch {
		case i%40 == 20:
			h.split(string(rune('b'+rng.IntN(24))) + fmt.Sprint(i))
		case i%40 == 39 && i > 100:
			h.merge(rng.IntN(100))
		case i%25 == 3:
			h.killFeeds()
		case i%50 == 10:
			follow(2)
		}
		if i%10 == 0 {
			<-time.After(time.Millisecond)
		}
	}
	for n, s := range all {
		eventually(t, "all events", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.revs) >= 800
		})
		s.mu.Lock()
		for i, rev := range s.revs {
			if want := int64(2 + i/2); rev != want {
				t.Fatalf("watcher %d: event %d has revision %d, want %d", n, i, rev, want)
			}
		}
		s.mu.Unlock()
	}
	cancel()
	wg.Wait()
}

// P22: the feeds of ranges that were merged become one again, under a watcher
// that notices nothing.
func TestPartsOfMergedRangesAreJoined_P22(t *testing.T) {
	h := serve(t, newFakeCluster("g", "m"), Options{RefreshInterval: 5 * time.Millisecond})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.recv()
	feeds := func() int {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		return len(h.s.runners)
	}
	for i := range 20 {
		h.write(put("b", "v"), put("h", "v"), put("x", "v"))
		if i == 5 || i == 10 {
			h.merge(0)
		}
		rev := h.current()
		if got, want := st.events(3), fmt.Sprintf("[0: b@%d h@%d x@%d]", rev, rev, rev); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	eventually(t, "one feed", func() bool { return feeds() == 1 })
	h.split("p")
	h.write(put("b", "v"), put("x", "v"))
	st.events(2)
	eventually(t, "a feed for each range", func() bool { return feeds() == 2 })
}

// P27: a client that does not read spills to history, the feeds and the other
// clients go on, and in the end it has everything.
func TestSlowClientSpills_P27(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{Limits: merge.Limits{GroupBytes: 64 << 10}})
	slow, fast := h.stream(), h.stream()
	for _, st := range []*rawStream{slow, fast} {
		st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
		st.recv()
	}
	value := strings.Repeat("v", 4<<10)
	const n = 600
	for i := range n {
		h.write(put(string(rune('a'+i%24)), value))
		if m := fast.recv(); len(m.Events) != 1 {
			t.Fatalf("fast: %v", m)
		}
	}
	for next := int64(2); next < n+2; {
		for _, e := range slow.recv().Events {
			if e.Kv.ModRevision != next {
				t.Fatalf("slow: got %d, want %d", e.Kv.ModRevision, next)
			}
			next++
		}
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.get(func() int { return h.history }) == 0 {
		t.Fatal("the slow client never spilled: the test proves nothing")
	}
}

// P27: what a stalled range makes pile up is dropped beyond the limits and read
// again; nothing is lost and the memory stays bounded.
func TestPileUpIsReadAgain_P27(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{
		RefreshInterval: time.Hour, Limits: merge.Limits{WatcherBytes: 4 << 10, RecentBytes: 2 << 10}})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.recv()
	h.stall("n", true)
	for range 100 {
		h.write(put("b", strings.Repeat("v", 500)))
	}
	eventually(t, "the watcher spilled", func() bool {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		for _, g := range h.s.kernel.Parts() {
			if g.Closed() < 101 && string(g.Span().Start[1:]) != "m" {
				return false
			}
		}
		return true
	})
	h.stall("n", false)
	for next := int64(2); next < 102; {
		for _, e := range st.recv().Events {
			if e.Kv.ModRevision != next {
				t.Fatalf("got %d, want %d", e.Kv.ModRevision, next)
			}
			next++
		}
	}
	if n := h.get(func() int { return h.history }); n > 60 {
		t.Errorf("%d reads of history for 100 events: they were read again and again", n)
	}
}

// P27: what a range was given above closed, because a txn holds it, is bounded;
// beyond that it is read from history page by page.
func TestLockedRangeIsPaged_P27(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{HistoryBytes: 8 << 10, Limits: merge.Limits{PartBytes: 4 << 10}})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.recv()
	h.lock("b", true)
	for range 100 {
		h.write(put("b", strings.Repeat("v", 500)))
	}
	eventually(t, "the part dropped", func() bool {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		return slices.ContainsFunc(h.s.kernel.Parts(), func(p *merge.Part) bool { return p.Lossy() })
	})
	h.lock("b", false)
	h.write(put("b", "last"))
	for next := int64(2); next < 103; {
		for _, e := range st.recv().Events {
			if e.Kv.ModRevision != next {
				t.Fatalf("got %d, want %d", e.Kv.ModRevision, next)
			}
			next++
		}
	}
	if n := h.get(func() int { return h.history }); n < 5 {
		t.Errorf("%d pages", n)
	}
	h.write(put("n", "live again"))
	st.events(1)
}

// Without the sequencer open watches go on and cancels are answered; creates
// wait for it.
func TestSequencerOutage(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.create(&createReq{Key: []byte("b")})
	st.recv()
	st.recv()
	down := func(d bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.rootDown = d
	}
	down(true)
	h.write(put("n", "v"))
	st.events(1)
	st.cancel(1)
	if m := st.recv(); !m.Canceled || m.WatchId != 1 || m.Header.Revision != 2 {
		t.Fatalf("cancel: %v", m)
	}
	st.create(&createReq{Key: []byte("c")})
	h.write(put("n", "v"))
	st.events(1)
	down(false)
	if m := st.recv(); !m.Created || m.Header.Revision != 3 {
		t.Fatalf("created: %v", m)
	}
}

// P27: a feed that does not reach what was pushed moves to another replica.
func TestLaggingFeedMoves_P27(t *testing.T) {
	c := newFakeCluster()
	c.noPush = true
	h := serve(t, c, Options{RefreshInterval: 5 * time.Millisecond})
	st := h.stream()
	st.create(&createReq{Key: []byte("a")})
	st.recv()
	c.stall("a", true)
	c.mu.Lock()
	c.rev++
	c.mu.Unlock()
	eventually(t, "a second attempt", func() bool {
		return h.get(func() int { return slices.Max(append(h.attempts, 0)) }) > 0
	})
}

// I1: many thousand watchers cost one feed for each range, bounded memory and
// little time for each event.
func TestTenThousandWatchers(t *testing.T) {
	h := serve(t, newFakeCluster("k025", "k05", "k075"), Options{})
	const n = 10000
	st := h.stream()
	go func() {
		for i := range n {
			r := &createReq{Key: fmt.Appendf(nil, "k%04d", i)}
			if i%2 == 1 {
				r.RangeEnd = append(bytes.Clone(r.Key), 0xff)
			}
			st.create(r)
		}
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		if m := st.recv(); !m.Created || m.WatchId != int64(i) {
			t.Fatalf("created %d: %v", i, m)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n; each > 8<<10 {
		t.Errorf("%d bytes for each watcher", each)
	}
	start := time.Now()
	for i := range 2000 {
		h.write(put(fmt.Sprintf("k%04d", i*5), "v"))
	}
	told := map[int64]bool{} // watchers in different ranges do not wait for each other
	for range 2000 {
		m := st.recv()
		if len(m.Events) != 1 || told[m.WatchId] || string(m.Events[0].Kv.Key) != fmt.Sprintf("k%04d", m.WatchId) {
			t.Fatalf("got %v", m)
		}
		told[m.WatchId] = true
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("2000 events took %v", d)
	}
	if opened := h.get(func() int { return h.opened }); opened != 4 {
		t.Errorf("%d feeds for 4 ranges", opened)
	}
	st.create(&createReq{Key: []byte("k"), RangeEnd: []byte("l")})
	st.recv()
	h.write(put("k9999", "v"), put("k0000", "v"))
	got := map[int64]int{}
	for range 3 {
		m := st.recv()
		got[m.WatchId] += len(m.Events)
	}
	if got[0] != 1 || got[9999] != 1 || got[n] != 2 {
		t.Errorf("got %v", got)
	}
}

// The feeds of ranges that nobody watches any more are closed after a while.
func TestIdleFeedsClose(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{Linger: 10 * time.Millisecond})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.recv()
	feeds := func() int {
		return h.get(func() (n int) {
			for _, r := range h.ranges {
				n += len(r.feeds)
			}
			return n
		})
	}
	eventually(t, "two feeds", func() bool { return feeds() == 2 })
	st.cancel(0)
	st.recv()
	eventually(t, "no feeds", func() bool { return feeds() == 0 })
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.recv()
	h.write(put("n", "v"))
	st.events(1)
}

// A stopping gateway ends streams with Unavailable: the client resumes
// elsewhere (R9). A client that goes away leaves nothing behind.
func TestStreamEnds(t *testing.T) {
	c := newFakeCluster("m")
	h := serve(t, c, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	ws, err := h.raw.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	gone := &rawStream{t, ws}
	gone.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	gone.recv()
	cancel()
	watched := func() (n int) {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		for _, p := range h.s.kernel.Parts() {
			if p.Watched() {
				n++
			}
		}
		return n
	}
	eventually(t, "no watcher left", func() bool { return watched() == 0 })
	st := h.stream()
	st.create(&createReq{Key: []byte("a")})
	st.recv()
	h.s.Close()
	_, err = st.ws.Recv()
	if status.Code(err) != codes.Unavailable || status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCStopped).Message() {
		t.Fatalf("got %v", err)
	}
}
