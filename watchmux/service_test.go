package watchmux

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

type createReq = etcdserverpb.WatchCreateRequest

// A watch from now over several ranges: created first with the current
// revision, then each revision in one response, a txn over ranges too, in the
// order of its operations (P17, quirks 26 and 30).
func TestLiveAcrossRanges_P17(t *testing.T) {
	h := serve(t, newFakeCluster("g", "p"), Options{})
	h.write(put("a", "0"))
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	m := st.recv()
	if !m.Created || m.WatchId != 0 || m.Header.Revision != 2 || len(m.Events) != 0 {
		t.Fatalf("created: %v", m)
	}
	h.write(put("q", "1"))
	h.write(put("x", "1"), put("b", "1"), put("h", "1"), del("a"))
	h.write(put("c", "1"))
	if got, want := st.events(6), "[0: q@3][0: x@4 b@4 h@4 a@4][0: c@5]"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

// P22: a watcher over ranges gets nothing above what the slowest has closed; a
// watcher inside one range does not wait for the other.
func TestSlowRangeHoldsOnlyItsWatchers_P22(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("c")})
	st.recv()
	st.recv()
	_, effects := h.begin(put("n", "late"), put("o", "late")) // 2, in the upper range
	h.write(put("b", "1"))                                    // 3, in the lower
	if got, want := st.events(1), "[1: b@3]"; got != want {
		t.Fatalf("inside the range: %s, want %s", got, want)
	}
	h.apply(effects[0])
	if got, want := st.events(3), "[0: n@2 o@2][0: b@3]"; got != want {
		t.Fatalf("across: %s, want %s", got, want)
	}
}

// Failed creates, ids and cancels answer as etcd does (quirks 26 to 29, 34).
func TestCreateAndCancelAnswers(t *testing.T) {
	c := newFakeCluster()
	for range 9 {
		c.write(put("k", "v"))
	}
	h := serve(t, c, Options{ClusterID: 7, MemberID: 8, RaftTerm: func() uint64 { return 9 }})
	st := h.stream()
	refused := func(req *createReq, reason string) {
		t.Helper()
		st.create(req)
		m := st.recv()
		if !m.Created || !m.Canceled || m.WatchId != -1 || m.CancelReason != reason || m.Header.Revision != 10 {
			t.Fatalf("got %v, want %q", m, reason)
		}
	}
	created := func(req *createReq, id int64) {
		t.Helper()
		st.create(req)
		if m := st.recv(); !m.Created || m.Canceled || m.WatchId != id {
			t.Fatalf("got %v, want id %d", m, id)
		}
	}
	refused(&createReq{Key: []byte("k"), StartRevision: -1}, "etcdserver: mvcc: required revision has been compacted")
	refused(&createReq{Key: []byte("k"), RangeEnd: []byte("k")}, "mvcc: watcher range is empty")
	refused(&createReq{Key: []byte("k"), RangeEnd: []byte("a")}, "mvcc: watcher range is empty")
	created(&createReq{Key: []byte("k"), WatchId: 1}, 1)
	refused(&createReq{Key: []byte("k"), WatchId: 1}, "mvcc: duplicate watch ID provided on the WatchStream")
	created(&createReq{Key: []byte("k")}, 0)
	created(&createReq{Key: []byte("k")}, 2) // 1 is taken
	created(&createReq{RangeEnd: []byte{0}}, 3)
	st.cancel(77) // unknown: silence
	st.cancel(1)
	m := st.recv()
	if !m.Canceled || m.WatchId != 1 || m.Created || m.CompactRevision != 0 || m.Header.Revision != 10 {
		t.Fatalf("cancel: %v", m)
	}
	if m.Header.ClusterId != 7 || m.Header.MemberId != 8 || m.Header.RaftTerm != 9 {
		t.Fatalf("header: %v", m.Header)
	}
	created(&createReq{Key: []byte("k"), WatchId: 1}, 1) // free again
}

// quirk 29: below the floor the watch is created and then canceled with the
// compact revision and header revision 0; at the floor it is served.
func TestCompactedStart(t *testing.T) {
	c := newFakeCluster("m")
	for range 20 {
		c.write(put("k", "v"))
	}
	c.compact(15)
	h := serve(t, c, Options{})
	st := h.stream()
	st.create(&createReq{Key: []byte("k"), StartRevision: 14})
	if m := st.recv(); !m.Created || m.Canceled {
		t.Fatalf("got %v", m)
	}
	m := st.recv()
	if !m.Canceled || m.CompactRevision != 15 || m.Header.Revision != 0 || m.CancelReason != "" || m.Created {
		t.Fatalf("got %v", m)
	}
	st.create(&createReq{Key: []byte("k"), StartRevision: 15})
	st.recv()
	if got := st.recv(); len(got.Events) != 7 || got.Events[0].Kv.ModRevision != 15 {
		t.Fatalf("at the floor: %v", got)
	}
	c.mu.Lock()
	c.floor = 18 // the ranges have yet to learn it
	c.mu.Unlock()
	st.create(&createReq{Key: []byte("k"), StartRevision: 17})
	st.recv()
	if m := st.recv(); !m.Canceled || m.CompactRevision != 18 {
		t.Fatalf("floor of the sequencer: %v", m)
	}
}

// P23: a feed that ended is resumed by scan, or its watchers get
// compact_revision if the floor has passed them meanwhile. Idle ranges are
// pushed to close now and then, so that this needs a gateway that was cut off.
func TestResumeBelowFloor_P23(t *testing.T) {
	for _, refreshed := range []bool{false, true} {
		c := newFakeCluster("m")
		opts := Options{RefreshInterval: time.Hour}
		if refreshed {
			opts.RefreshInterval = 5 * time.Millisecond
		}
		h := serve(t, c, opts)
		st := h.stream()
		st.create(&createReq{Key: []byte("n")})
		st.recv()
		for range 20 {
			h.write(put("b", "v"))
		}
		if refreshed {
			eventually(t, "idle range closed", func() bool {
				return h.get(func() int { return int(h.ranges[1].closed) }) == 21
			})
			eventually(t, "gateway knows", func() bool {
				h.s.mu.Lock()
				defer h.s.mu.Unlock()
				ps := h.s.kernel.Parts()
				return len(ps) == 1 && ps[0].Closed() == 21
			})
		}
		c.compact(15)
		h.killFeeds()
		if refreshed {
			h.write(put("n", "v"))
			st.events(1)
			continue
		}
		if m := st.recv(); !m.Canceled || m.CompactRevision != 15 {
			t.Fatalf("got %v", m)
		}
	}
}

// quirk 30: history comes in responses of at most 1000 whole revisions with
// the current revision as header, then live goes on with no gap and no repeat.
func TestHistoryThenLive_P24(t *testing.T) {
	c := newFakeCluster("k3", "m")
	for i := range 2499 {
		c.write(put(fmt.Sprintf("k%d", i%7), "v"))
	}
	h := serve(t, c, Options{})
	st := h.stream()
	st.create(&createReq{Key: []byte("k"), RangeEnd: []byte("l"), StartRevision: 2})
	st.recv()
	var sizes []int
	next := int64(2)
	for next <= 2500 {
		m := st.recv()
		sizes = append(sizes, len(m.Events))
		if m.Header.Revision != 2500 {
			t.Fatalf("header %d", m.Header.Revision)
		}
		for _, e := range m.Events {
			if e.Kv.ModRevision != next {
				t.Fatalf("got %d, want %d", e.Kv.ModRevision, next)
			}
			next++
		}
	}
	if !slices.Equal(sizes, []int{1000, 1000, 499}) {
		t.Fatalf("sizes %v", sizes)
	}
	h.write(put("k1", "x"))
	if m := st.recv(); len(m.Events) != 1 || m.Header.Revision != 2501 {
		t.Fatalf("live: %v", m)
	}
}

// Histories that are too long to join over are read page by page while writes
// go on, and meet live events with no gap and no repeat.
func TestLongHistoryInPages_P24(t *testing.T) {
	c := newFakeCluster("k3", "m")
	value := strings.Repeat("v", 1000)
	for i := range 600 {
		c.write(put(fmt.Sprintf("k%d", i%7), value))
	}
	h := serve(t, c, Options{HistoryBytes: 20 << 10})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 300 {
			h.write(put(fmt.Sprintf("k%d", i%7), value))
			runtime.Gosched()
		}
	})
	next := int64(2)
	for r := range h.client.Watch(t.Context(), "k", clientv3.WithPrefix(), clientv3.WithRev(2)) {
		for _, e := range r.Events {
			if e.Kv.ModRevision != next {
				t.Fatalf("got %d, want %d", e.Kv.ModRevision, next)
			}
			next++
		}
		if next == 902 {
			break
		}
	}
	wg.Wait()
}

// A start in the future waits for it (quirk 29).
func TestFutureStart(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z"), StartRevision: 4})
	st.recv()
	h.write(put("b", "2"))
	h.write(put("n", "3"))
	h.write(put("n", "4"))
	h.write(put("b", "5"))
	if got, want := st.events(2), "[0: n@4][0: b@5]"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

// P25, quirk 31: previous values on request, not for creates, absent below the
// floor, each looked up once for all watchers; deletes carry only key and
// revision; filters drop silently (quirk 32).
func TestPrevKVAndFilters_P25(t *testing.T) {
	c := newFakeCluster("m")
	h := serve(t, c, Options{})
	st := h.stream()
	st.create(&createReq{Key: []byte("k"), PrevKv: true})
	st.create(&createReq{Key: []byte("k"), PrevKv: true, Filters: []etcdserverpb.WatchCreateRequest_FilterType{etcdserverpb.WatchCreateRequest_NOPUT}})
	st.create(&createReq{Key: []byte("k"), Filters: []etcdserverpb.WatchCreateRequest_FilterType{etcdserverpb.WatchCreateRequest_NODELETE}})
	for range 3 {
		st.recv()
	}
	h.write(put("k", "1"))
	h.write(put("k", "2"))
	h.write(del("k"))
	got := map[int64][]string{}
	for range 6 {
		m := st.recv()
		for _, e := range m.Events {
			got[m.WatchId] = append(got[m.WatchId], fmt.Sprintf("%v@%d prev %s", e.Type, e.Kv.ModRevision, e.PrevKv.GetValue()))
		}
	}
	want := map[int64][]string{
		0: {"PUT@2 prev ", "PUT@3 prev 1", "DELETE@4 prev 2"},
		1: {"DELETE@4 prev 2"},
		2: {"PUT@2 prev ", "PUT@3 prev "},
	}
	for id, w := range want {
		if !slices.Equal(got[id], w) {
			t.Errorf("watcher %d: got %v, want %v", id, got[id], w)
		}
	}
	if n := h.get(func() int { return h.prevs }); n != 2 {
		t.Errorf("%d look-ups for an update and a deletion that two watchers see", n)
	}
	h.write(put("k", "3"))
	h.write(put("k", "4"))
	h.compact(h.current())
	st2 := h.stream()
	st2.create(&createReq{Key: []byte("k"), PrevKv: true, StartRevision: h.current()})
	st2.recv()
	if m := st2.recv(); len(m.Events) != 1 || m.Events[0].PrevKv != nil {
		t.Errorf("at the floor: %v", m)
	}
}

// P25: a previous value that was looked up for an earlier watcher is not
// delivered once it lies below the floor.
func TestPrevKVBelowFloorIsNotRemembered_P25(t *testing.T) {
	c := newFakeCluster("m")
	h := serve(t, c, Options{})
	first, second := h.stream(), h.stream()
	first.create(&createReq{Key: []byte("k"), PrevKv: true})
	first.recv()
	h.write(put("k", "1"))
	h.write(put("k", "2"))
	for range 2 {
		first.recv()
	}
	h.compact(h.current())
	second.create(&createReq{Key: []byte("k"), PrevKv: true, StartRevision: h.current()})
	second.recv()
	if m := second.recv(); len(m.Events) != 1 || m.Events[0].PrevKv != nil {
		t.Errorf("below the floor: %v", m)
	}
}

// Fragments: pieces below the limit, marked but for the last, not interleaved.
func TestFragment(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{MaxRequestBytes: 1 << 10})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z"), Fragment: true})
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.recv()
	st.recv()
	value := strings.Repeat("v", 200<<10)
	var ops []op
	for i := range 8 {
		ops = append(ops, put(fmt.Sprintf("%c", 'a'+3*i), value))
	}
	h.write(ops...)
	var order []int64
	for n := 0; n < 16; {
		m := st.recv()
		order = append(order, m.WatchId)
		n += len(m.Events)
		if m.WatchId == 0 {
			if last := n == 8 || n == 16; m.Fragment == last {
				t.Fatalf("fragment %v after %d events", m.Fragment, n)
			}
			if len(m.Events) > 2 {
				t.Fatalf("%d events in a piece", len(m.Events))
			}
		} else if m.Fragment || len(m.Events) != 8 {
			t.Fatalf("watcher that did not ask: %d events", len(m.Events))
		}
	}
	if !slices.IsSorted(order) && !slices.IsSortedFunc(order, func(a, b int64) int { return int(b - a) }) {
		t.Fatalf("interleaved: %v", order)
	}
}

// P26, R8: progress on an idle prefix over ranges reaches a revision that was
// just written elsewhere, promptly, because closing is pushed to it; it names
// watcher -1.
func TestProgressPushesClosing_P26(t *testing.T) {
	h := serve(t, newFakeCluster("g", "p", "x"), Options{RefreshInterval: time.Hour})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("r")})
	st.recv()
	for range 20 {
		rev := h.write(put("zz", "elsewhere"))
		st.progress()
		m := st.recv()
		if m.WatchId != -1 || m.Header.Revision != rev || len(m.Events) != 0 {
			t.Fatalf("got %v, want progress %d", m, rev)
		}
	}
	if n := h.get(func() int { return len(h.pushes) }); n < 20 {
		t.Fatalf("%d pushes", n)
	}
}

// P26: progress waits for what is not delivered: it comes behind it.
func TestProgressBehindEvents_P26(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.recv()
	_, effects := h.begin(put("n", "late"), put("b", "late"))
	h.apply(effects[0])
	st.progress()
	eventually(t, "a push", func() bool { return h.get(func() int { return len(h.pushes) }) > 0 })
	h.apply(effects[1])
	if got, want := st.events(2), "[0: n@2 b@2]"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if m := st.recv(); m.WatchId != -1 || m.Header.Revision != 2 {
		t.Fatalf("got %v", m)
	}
}

// quirk 33: silence without watchers, with a start above the current revision,
// and while a compacted watcher is not canceled; the request is not answered
// later.
func TestProgressSilence_P26(t *testing.T) {
	c := newFakeCluster("m")
	c.write(put("k", "v"))
	h := serve(t, c, Options{})
	st := h.stream()
	st.progress()
	st.create(&createReq{Key: []byte("a"), StartRevision: 5})
	st.recv()
	st.progress()
	h.write(put("x", "v"))
	st.progress()
	st.cancel(0)
	if m := st.recv(); !m.Canceled {
		t.Fatalf("something before the cancel: %v", m)
	}
	st.create(&createReq{Key: []byte("a")})
	st.recv()
	st.progress()
	if m := st.recv(); m.WatchId != -1 || m.Header.Revision != 3 {
		t.Fatalf("got %v", m)
	}
}

// quirk 33: periodic notices carry the watcher's own id and the revision up to
// which it is complete, and only if no event came since the last.
func TestPeriodicProgress(t *testing.T) {
	h := serve(t, newFakeCluster("m"), Options{ProgressInterval: 100 * time.Millisecond})
	st := h.stream()
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z")})
	st.create(&createReq{Key: []byte("a"), RangeEnd: []byte("z"), ProgressNotify: true})
	st.recv()
	st.recv()
	rev := h.write(put("zz", "elsewhere"))
	for {
		m := st.recv()
		if m.WatchId != 1 || len(m.Events) != 0 {
			t.Fatalf("got %v", m)
		}
		if m.Header.Revision == rev {
			break
		}
	}
}
