package watchmux

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// fakeCluster stands for all ranges, the directory and the sequencer. A range
// closes at its own writes and when pushed, unless it is stalled.
type fakeCluster struct {
	mu       sync.Mutex
	rev      proto.Revision
	floor    proto.Revision
	learnt   proto.Revision // floor that ranges know
	ranges   []*fakeRange
	nextID   uint64
	versions map[string][]*mvccpb.KeyValue // a deletion has version 0
	pushes   []proto.Revision
	opened   int
	attempts []int
	noPush   bool
	history  int // calls
	prevs    int
	rootDown bool
}

type fakeRange struct {
	desc    *pontoonpb.Descriptor
	closed  proto.Revision
	log     []*pontoonpb.ChangeEvent
	feeds   map[*fakeFeed]struct{}
	stalled bool // does not close
	locked  bool // the same, whatever is written
}

type fakeFeed struct {
	c      *fakeCluster
	r      *fakeRange
	span   proto.Span
	queue  []*pontoonpb.FeedMessage
	wake   chan struct{}
	closed bool
}

func newFakeCluster(bounds ...string) *fakeCluster {
	c := &fakeCluster{rev: 1, floor: proto.NeverCompacted, learnt: proto.NeverCompacted, versions: map[string][]*mvccpb.KeyValue{}, nextID: 3}
	c.ranges = []*fakeRange{{desc: &pontoonpb.Descriptor{RangeId: 3, Generation: 1, Span: keys.UserSpan.Wire()}, closed: 1, feeds: map[*fakeFeed]struct{}{}}}
	for _, b := range bounds {
		c.split(b)
	}
	return c
}

func (r *fakeRange) holds(key []byte) bool { return proto.SpanOf(r.desc.Span).Contains(key) }

// split cuts a range; its feeds end with the new descriptors (P21).
func (c *fakeCluster) split(at string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := keys.User([]byte(at))
	for i, r := range c.ranges {
		if !r.holds(key) || bytes.Equal(r.desc.Span.Start, key) {
			continue
		}
		c.nextID++
		gen := r.desc.Generation + 1
		left := &fakeRange{desc: &pontoonpb.Descriptor{RangeId: r.desc.RangeId, Generation: gen,
			Span: &pontoonpb.Span{Start: r.desc.Span.Start, End: key}}, closed: r.closed, feeds: map[*fakeFeed]struct{}{}}
		right := &fakeRange{desc: &pontoonpb.Descriptor{RangeId: c.nextID, Generation: gen,
			Span: &pontoonpb.Span{Start: key, End: r.desc.Span.End}}, closed: r.closed, feeds: map[*fakeFeed]struct{}{}}
		for _, e := range r.log {
			to := left
			if right.holds(keys.User(e.Event.Kv.Key)) {
				to = right
			}
			to.log = append(to.log, e)
		}
		for f := range r.feeds {
			f.push(&pontoonpb.FeedMessage{Ended: proto.Mismatch(left.desc, right.desc).RangeError})
		}
		c.ranges = slices.Replace(c.ranges, i, i+1, left, right)
		return
	}
}

// merge lets the range before the n-th cut take in the one after it; the feeds
// of that one end with the merged descriptor, those of the other go on (P46).
func (c *fakeCluster) merge(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ranges) < 2 {
		return
	}
	i := n % (len(c.ranges) - 1)
	left, right := c.ranges[i], c.ranges[i+1]
	left.desc = &pontoonpb.Descriptor{RangeId: left.desc.RangeId, Generation: max(left.desc.Generation, right.desc.Generation) + 1,
		Span: &pontoonpb.Span{Start: left.desc.Span.Start, End: right.desc.Span.End}}
	left.closed = max(left.closed, right.closed)
	left.log = append(left.log, right.log...)
	for f := range right.feeds {
		f.push(&pontoonpb.FeedMessage{Ended: proto.Mismatch(left.desc).RangeError})
	}
	c.ranges = slices.Delete(c.ranges, i+1, i+2)
}

// killFeeds ends all feeds as a lost connection does.
func (c *fakeCluster) killFeeds() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.ranges {
		for f := range r.feeds {
			f.closed = true
			f.signal()
		}
		clear(r.feeds)
	}
}

// op is one change of a revision; nil value deletes.
type op struct {
	key   string
	value []byte
}

func put(k, v string) op { return op{k, []byte(v)} }
func del(k string) op    { return op{k, nil} }

// write makes one revision and applies it at once.
func (c *fakeCluster) write(ops ...op) int64 {
	rev, effects := c.begin(ops...)
	for _, r := range effects {
		c.apply(r)
	}
	return rev
}

// begin takes a revision and returns its effects by key order of ranges, not
// applied. Until all are applied its ranges do not close at it.
func (c *fakeCluster) begin(ops ...op) (int64, [][]*pontoonpb.ChangeEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rev++
	by := map[*fakeRange][]*pontoonpb.ChangeEvent{}
	for sub, o := range ops {
		kv := &mvccpb.KeyValue{Key: []byte(o.key), ModRevision: int64(c.rev)}
		ev := &mvccpb.Event{Kv: kv}
		if o.value == nil {
			ev.Type = mvccpb.Event_DELETE
		} else {
			kv.Value, kv.Version, kv.CreateRevision = o.value, 1, int64(c.rev)
			if old := c.versions[o.key]; len(old) > 0 && old[len(old)-1].Version > 0 {
				kv.Version, kv.CreateRevision = old[len(old)-1].Version+1, old[len(old)-1].CreateRevision
			}
		}
		c.versions[o.key] = append(c.versions[o.key], kv)
		for _, r := range c.ranges {
			if r.holds(keys.User(kv.Key)) {
				by[r] = append(by[r], &pontoonpb.ChangeEvent{Event: ev, Sub: int64(sub)})
				r.stalled = true
			}
		}
	}
	var effects [][]*pontoonpb.ChangeEvent
	for _, r := range c.ranges {
		if evs := by[r]; evs != nil {
			effects = append(effects, evs)
		}
	}
	return int64(c.rev), effects
}

// apply applies effects of one range and closes it at the current revision.
func (c *fakeCluster) apply(evs []*pontoonpb.ChangeEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.ranges {
		if !r.holds(keys.User(evs[0].Event.Kv.Key)) {
			continue
		}
		r.stalled = false
		r.log = append(r.log, evs...)
		for f := range r.feeds {
			f.push(&pontoonpb.FeedMessage{Events: evs})
		}
		r.close(c.rev)
	}
}

func (r *fakeRange) close(rev proto.Revision) {
	if r.stalled || r.locked || rev <= r.closed {
		return
	}
	r.closed = rev
	for f := range r.feeds {
		f.push(r.checkpoint())
	}
}

func (r *fakeRange) checkpoint() *pontoonpb.FeedMessage {
	return &pontoonpb.FeedMessage{Checkpoint: &pontoonpb.Checkpoint{
		Span: r.desc.Span, Generation: r.desc.Generation, Closed: int64(r.closed)}}
}

func (c *fakeCluster) stall(key string, stalled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.ranges {
		if r.holds(keys.User([]byte(key))) {
			r.stalled = stalled
		}
	}
}

func (c *fakeCluster) lock(key string, locked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.ranges {
		if r.holds(keys.User([]byte(key))) {
			r.locked = locked
		}
	}
}

func (c *fakeCluster) compact(rev int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor, c.learnt = proto.Revision(rev), proto.Revision(rev)
}

func (c *fakeCluster) current() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.rev)
}

// get is how a test looks at a counter.
func (c *fakeCluster) get(f func() int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f()
}

// Cover implements Ranges.
func (c *fakeCluster) Cover(_ context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*pontoonpb.Descriptor
	for _, r := range c.ranges {
		if proto.SpanOf(r.desc.Span).Overlaps(span) {
			out = append(out, r.desc)
		}
	}
	return out, nil
}

// Learn implements Ranges.
func (c *fakeCluster) Learn(proto.Span, []*pontoonpb.Descriptor) {}

// Open implements Feeds.
func (c *fakeCluster) Open(_ context.Context, desc *pontoonpb.Descriptor, req *pontoonpb.FeedRequest, attempt int) (Feed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.ranges {
		if r.desc.RangeId != desc.RangeId {
			continue
		}
		if !proto.SpanOf(r.desc.Span).Covers(proto.SpanOf(req.Span)) {
			return nil, proto.Mismatch(r.desc)
		}
		if proto.Revision(req.From) < c.learnt {
			return nil, proto.BelowFloor(c.learnt)
		}
		c.opened++
		c.attempts = append(c.attempts, attempt)
		f := &fakeFeed{c: c, r: r, span: proto.SpanOf(req.Span), wake: make(chan struct{}, 1)}
		var evs []*pontoonpb.ChangeEvent
		for _, e := range r.log {
			if e.Event.Kv.ModRevision >= req.From {
				evs = append(evs, e)
			}
		}
		slices.Reverse(evs) // unordered between checkpoints
		f.push(&pontoonpb.FeedMessage{Events: evs})
		f.push(r.checkpoint())
		r.feeds[f] = struct{}{}
		return f, nil
	}
	return nil, proto.Errorf(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND, "no such range")
}

// push queues the part of a message that lies in the feed's span.
func (f *fakeFeed) push(m *pontoonpb.FeedMessage) {
	events := slices.DeleteFunc(slices.Clone(m.Events), func(e *pontoonpb.ChangeEvent) bool {
		return !f.span.Contains(keys.User(e.Event.Kv.Key))
	})
	m = &pontoonpb.FeedMessage{Events: events, Checkpoint: m.Checkpoint, Ended: m.Ended}
	f.queue = append(f.queue, m)
	f.signal()
}

func (f *fakeFeed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Recv implements Feed.
func (f *fakeFeed) Recv(ctx context.Context) (*pontoonpb.FeedMessage, error) {
	for {
		f.c.mu.Lock()
		if f.closed {
			f.c.mu.Unlock()
			return nil, io.EOF
		}
		if len(f.queue) > 0 {
			m := f.queue[0]
			f.queue = f.queue[1:]
			f.c.mu.Unlock()
			return m, nil
		}
		f.c.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.wake:
		}
	}
}

// Close implements Feed.
func (f *fakeFeed) Close() {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.closed = true
	delete(f.r.feeds, f)
	f.signal()
}

// History implements History.
func (c *fakeCluster) History(_ context.Context, span proto.Span, from, to proto.Revision, maxBytes int64) (*pontoonpb.HistoryReply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history++
	for _, r := range c.ranges {
		if !r.holds(span.Start) {
			continue
		}
		switch {
		case !proto.SpanOf(r.desc.Span).Covers(span):
			return nil, proto.Mismatch(r.desc)
		case from < c.learnt:
			return nil, proto.BelowFloor(c.learnt)
		case r.closed < to:
			return nil, proto.Errorf(pontoonpb.RangeErrorCode_STALE_CLOSED, "closed at %d", r.closed)
		}
		var evs []*pontoonpb.ChangeEvent
		for _, e := range r.log {
			if rev := proto.Revision(e.Event.Kv.ModRevision); rev >= from && rev <= to && span.Contains(keys.User(e.Event.Kv.Key)) {
				evs = append(evs, e)
			}
		}
		slices.SortFunc(evs, func(a, b *pontoonpb.ChangeEvent) int {
			return cmp.Or(cmp.Compare(a.Event.Kv.ModRevision, b.Event.Kv.ModRevision), cmp.Compare(a.Sub, b.Sub))
		})
		covered := int64(to)
		size := int64(0)
		for i, e := range evs {
			if size > maxBytes && e.Event.Kv.ModRevision != evs[i-1].Event.Kv.ModRevision {
				covered = evs[i-1].Event.Kv.ModRevision
				evs = evs[:i]
				break
			}
			size += int64(len(e.Event.Kv.Value))
		}
		return &pontoonpb.HistoryReply{Events: evs, Covered: covered}, nil
	}
	return nil, proto.Errorf(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND, "no range")
}

// Previous implements History.
func (c *fakeCluster) Previous(_ context.Context, key []byte, rev proto.Revision) (*mvccpb.KeyValue, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prevs++
	if rev < c.floor {
		return nil, nil
	}
	vs := c.versions[string(key)]
	for i := len(vs) - 1; i >= 0; i-- {
		if vs[i].ModRevision <= int64(rev) {
			if vs[i].Version == 0 {
				return nil, nil
			}
			return vs[i], nil
		}
	}
	return nil, nil
}

// ReadRevision implements Sequencer.
func (c *fakeCluster) ReadRevision(context.Context) (Read, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rootDown {
		return Read{}, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "no sequencer")
	}
	return Read{c.rev, c.floor}, nil
}

// Seen implements Sequencer.
func (c *fakeCluster) Seen() proto.Revision {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rev
}

// Floor implements Sequencer.
func (c *fakeCluster) Floor() proto.Revision {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.floor
}

// PushClosed implements Closer.
func (c *fakeCluster) PushClosed(rev proto.Revision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pushes = append(c.pushes, rev)
	if c.noPush {
		return
	}
	for _, r := range c.ranges {
		r.close(rev)
	}
}

// harness is a service on loopback with etcd's client.
type harness struct {
	*fakeCluster
	t      *testing.T
	s      *Service
	client *clientv3.Client
	raw    etcdserverpb.WatchClient
}

func serve(t *testing.T, c *fakeCluster, opts Options) *harness {
	t.Helper()
	s, err := New(opts, Ports{Ranges: c, Feeds: c, History: c, Sequencer: c, Closer: c})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	etcdserverpb.RegisterWatchServer(g, s)
	go g.Serve(l)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{l.Addr().String()}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		conn.Close()
		s.Close()
		g.Stop()
	})
	return &harness{fakeCluster: c, t: t, s: s, client: client, raw: etcdserverpb.NewWatchClient(conn)}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// rawStream is a watch stream without the client's cleverness.
type rawStream struct {
	t  *testing.T
	ws etcdserverpb.Watch_WatchClient
}

func (h *harness) stream() *rawStream {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	ws, err := h.raw.Watch(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	return &rawStream{h.t, ws}
}

func (r *rawStream) create(c *etcdserverpb.WatchCreateRequest) {
	r.t.Helper()
	if err := r.ws.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: c}}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rawStream) cancel(id int64) {
	r.t.Helper()
	if err := r.ws.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CancelRequest{
		CancelRequest: &etcdserverpb.WatchCancelRequest{WatchId: id}}}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rawStream) progress() {
	r.t.Helper()
	if err := r.ws.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{
		ProgressRequest: &etcdserverpb.WatchProgressRequest{}}}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rawStream) recv() *etcdserverpb.WatchResponse {
	r.t.Helper()
	type result struct {
		m   *etcdserverpb.WatchResponse
		err error
	}
	c := make(chan result, 1)
	go func() {
		m, err := r.ws.Recv()
		c <- result{m, err}
	}()
	select {
	case x := <-c:
		if x.err != nil {
			r.t.Fatal(x.err)
		}
		return x.m
	case <-time.After(20 * time.Second):
		r.t.Fatal("nothing received")
		return nil
	}
}

// events receives until n events have come and describes them, a response in
// brackets.
func (r *rawStream) events(n int) (got string) {
	r.t.Helper()
	for n > 0 {
		m := r.recv()
		got += fmt.Sprintf("[%d:", m.WatchId)
		for _, e := range m.Events {
			got += fmt.Sprintf(" %s@%d", e.Kv.Key, e.Kv.ModRevision)
		}
		got += "]"
		n -= len(m.Events)
	}
	return got
}
