package diff

import (
	"context"
	"fmt"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// allWatchers is the watch id of answers to RequestProgress, and of failed creates.
const allWatchers = -1

// group is the events of one revision, as one watcher got them.
type group struct {
	rev    int64
	events []*mvccpb.Event
}

// received is what one watcher got. Its stream's mutex guards it.
type received struct {
	groups   []group
	events   int // all events so far, also of groups already taken
	canceled *pb.WatchResponse
	// released: the runner canceled what compaction had canceled before; the second
	// canceled response is no fault.
	released bool

	lastRev  int64 // of the last event
	header   int64 // highest header.revision
	progress int64 // no event at or below this revision may follow
	create   *pb.WatchCreateRequest
	partial  []*mvccpb.Event // fragments of a response that is not complete
}

// stream is one watch stream to one side. A goroutine receives; it checks what can be
// checked without the other side and keeps the rest for the runner.
type stream struct {
	client  pb.Watch_WatchClient
	cancel  context.CancelFunc
	done    chan struct{} // closed when the receiver has ended
	gateway int
	symbol  func(int64) int64
	onEvent func([]*mvccpb.Event) // if set, gets every event at once

	sendMu sync.Mutex

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at every response
	creating  []*pb.WatchCreateRequest
	created   []*pb.WatchResponse // answers to creates, in order
	watchers  map[int64]*received
	progress  []int64 // revisions of answers to RequestProgress, in order
	allowed   int     // how many such answers there may be
	early     []int64 // requests sent before they were due: the revision that makes each due
	fragment  int64   // the watcher whose fragments are under way, else allWatchers
	violation string  // the first thing that is wrong by itself
}

// due is how many progress answers there may be by now. A request that came
// before its time is judged when the server gets to it: by then a later write
// may have brought the revision that its watchers start at, and the answer says
// so itself.
func (st *stream) due() int {
	n := st.allowed
	for _, start := range st.early {
		if len(st.progress) > 0 && st.progress[len(st.progress)-1] >= start {
			n++
		}
	}
	return n
}

func (s *side) openStream(ctx context.Context, gateway int, client string) (*stream, error) {
	if err := s.catchUp(ctx, gateway); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	watch, err := pb.NewWatchClient(s.conn(gateway)).Watch(s.as(ctx, client))
	if err != nil {
		cancel()
		return nil, err
	}
	st := &stream{
		client: watch, cancel: cancel, done: make(chan struct{}),
		changed: make(chan struct{}), watchers: map[int64]*received{}, fragment: allWatchers,
		gateway: gateway, symbol: s.symbolOf,
	}
	go st.receive()
	return st, nil
}

func (st *stream) close() {
	st.cancel()
	<-st.done
}

// send sends a request; a create is remembered until its answer comes.
func (st *stream) send(r *pb.WatchRequest) error {
	st.sendMu.Lock()
	defer st.sendMu.Unlock()
	if c := r.GetCreateRequest(); c != nil {
		st.mu.Lock()
		st.creating = append(st.creating, c)
		st.mu.Unlock()
	}
	return st.client.Send(r)
}

func (st *stream) receive() {
	defer close(st.done)
	for {
		r, err := st.client.Recv()
		st.mu.Lock()
		if err != nil {
			if status.Code(err) != codes.Canceled {
				st.fault("stream ended: %v", err)
			}
			close(st.changed)
			st.changed = make(chan struct{})
			st.mu.Unlock()
			return
		}
		st.handle(r)
		close(st.changed)
		st.changed = make(chan struct{})
		st.mu.Unlock()
	}
}

// fault records the first violation.
func (st *stream) fault(format string, args ...any) {
	if st.violation == "" {
		st.violation = fmt.Sprintf(format, args...)
	}
}

func (st *stream) handle(r *pb.WatchResponse) {
	if st.fragment != allWatchers && st.fragment != r.WatchId {
		st.fault("a response between the fragments of watcher %d: %s", st.fragment, brief(r))
	}
	switch {
	case r.Created:
		st.handleCreated(r)
	case r.WatchId == allWatchers:
		if len(r.Events) > 0 || r.Canceled {
			st.fault("not a progress response: %s", brief(r))
		}
		st.progress = append(st.progress, r.GetHeader().GetRevision())
		for id, w := range st.watchers {
			st.handleProgress(id, w, r.GetHeader().GetRevision())
		}
	default:
		w := st.watchers[r.WatchId]
		if w != nil && w.released && r.Canceled {
			w.released = false
			return
		}
		if w == nil || w.canceled != nil {
			st.fault("a response for watcher %d, which does not exist: %s", r.WatchId, brief(r))
			return
		}
		switch {
		case r.Canceled:
			if len(r.Events) > 0 {
				st.fault("events in a canceled response: %s", brief(r))
			}
			w.canceled = r
		case len(r.Events) == 0 && !r.Fragment && st.fragment == allWatchers:
			if !w.create.ProgressNotify {
				st.fault("progress for watcher %d, which did not ask: %s", r.WatchId, brief(r))
			}
			st.handleProgress(r.WatchId, w, r.GetHeader().GetRevision())
		default:
			st.handleEvents(w, r)
		}
	}
}

func (st *stream) handleCreated(r *pb.WatchResponse) {
	if len(st.creating) == 0 {
		st.fault("created without a create: %s", brief(r))
		return
	}
	create := st.creating[0]
	st.creating = st.creating[1:]
	st.created = append(st.created, r)
	if len(r.Events) > 0 {
		st.fault("events in a created response: %s", brief(r))
	}
	if r.Canceled {
		return
	}
	if w := st.watchers[r.WatchId]; w != nil && w.canceled == nil {
		st.fault("watch id %d given twice", r.WatchId)
	}
	st.watchers[r.WatchId] = &received{create: create}
}

// handleProgress checks that a progress revision is no older than what was delivered
// and remembers it: events at or below it must not follow.
func (st *stream) handleProgress(id int64, w *received, rev int64) {
	if w.canceled != nil {
		return
	}
	if rev < w.lastRev {
		st.fault("progress of watcher %d at %d is behind its last event at %d", id, rev, w.lastRev)
	}
	w.progress = max(w.progress, rev)
}

func (st *stream) handleEvents(w *received, r *pb.WatchResponse) {
	if r.Fragment && !w.create.Fragment {
		st.fault("a fragment for watcher %d, which did not ask: %s", r.WatchId, brief(r))
	}
	w.partial = append(w.partial, r.Events...)
	if r.Fragment {
		st.fragment = r.WatchId
		return
	}
	st.fragment = allWatchers
	events := w.partial
	w.partial = nil
	if len(events) == 0 {
		st.fault("fragments without events for watcher %d", r.WatchId)
		return
	}
	if st.onEvent != nil {
		st.onEvent(events)
	}
	rev := r.GetHeader().GetRevision()
	first, last := events[0].Kv.ModRevision, events[len(events)-1].Kv.ModRevision
	switch {
	case first <= w.lastRev && w.lastRev > 0:
		st.fault("watcher %d: revision %d after %d: a revision was split or repeated", r.WatchId, first, w.lastRev)
	case first <= w.progress:
		st.fault("watcher %d: an event at %d after progress at %d", r.WatchId, first, w.progress)
	case rev < last:
		st.fault("watcher %d: header.revision %d is behind its event at %d", r.WatchId, rev, last)
	case rev < w.header:
		st.fault("watcher %d: header.revision went back from %d to %d", r.WatchId, w.header, rev)
	}
	w.header = max(w.header, rev)
	for _, e := range events {
		mapLeases(e, st.symbol)
		if e.Kv.ModRevision < w.lastRev {
			st.fault("watcher %d: events out of order: %d after %d", r.WatchId, e.Kv.ModRevision, w.lastRev)
		}
		if n := len(w.groups); n > 0 && w.groups[n-1].rev == e.Kv.ModRevision {
			w.groups[n-1].events = append(w.groups[n-1].events, e)
		} else {
			w.groups = append(w.groups, group{rev: e.Kv.ModRevision, events: []*mvccpb.Event{e}})
		}
		w.lastRev = e.Kv.ModRevision
	}
	w.events += len(events)
}

// wait blocks until cond holds, the stream shows a violation, or ctx ends, and
// reports whether cond held. cond runs under the stream's mutex.
func (st *stream) wait(ctx context.Context, cond func() bool) bool {
	for {
		st.mu.Lock()
		held, broken, changed := cond(), st.violation != "", st.changed
		st.mu.Unlock()
		if held || broken {
			return held
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// fate returns the stream's violation, if any.
func (st *stream) fate() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.violation
}

// take removes and returns the groups of a watcher.
func (st *stream) take(id int64) []group {
	st.mu.Lock()
	defer st.mu.Unlock()
	w := st.watchers[id]
	if w == nil {
		return nil
	}
	groups := w.groups
	w.groups = nil
	return groups
}

// canceledResponse returns the response that canceled a watcher, nil while it lives.
func (st *stream) canceledResponse(id int64) *pb.WatchResponse {
	st.mu.Lock()
	defer st.mu.Unlock()
	if w := st.watchers[id]; w != nil && w.canceled != nil {
		return proto.Clone(w.canceled).(*pb.WatchResponse)
	}
	return nil
}

// delivered returns how many events a watcher has got.
func (st *stream) delivered(id int64) int {
	st.mu.Lock()
	defer st.mu.Unlock()
	if w := st.watchers[id]; w != nil {
		return w.events
	}
	return 0
}
