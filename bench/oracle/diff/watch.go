package diff

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// askProgressEvery is how often progress is requested while it is not answered: both
// sides stay silent while a watcher catches up.
const askProgressEvery = 150 * time.Millisecond

// watcher is a live watcher, with the same id on both sides.
type watcher struct {
	stream   int
	id       int64
	create   *pb.WatchCreateRequest
	pos      int // in the history: what lies before is in expected
	expected int // events that it must have got
	// behind is when it was created, if it may still be catching up: it started in
	// the past and no event has shown yet that it is synced. Zero otherwise.
	behind time.Time
}

func (r *Runner) watchOpen(ctx context.Context, o Op) (*Difference, error) {
	if r.oracle.streams[o.N] != nil {
		return nil, nil
	}
	for _, s := range []*side{r.oracle, r.subject} {
		st, err := s.openStream(ctx, o.Gateway, o.As)
		if err != nil {
			return nil, fmt.Errorf("diff: open a watch stream on %s: %w", s.Name, err)
		}
		s.streams[o.N] = st
	}
	return nil, nil
}

func (r *Runner) watchClose(ctx context.Context, o Op) (*Difference, error) {
	if r.oracle.streams[o.N] == nil {
		return nil, nil
	}
	if diff, err := r.drain(ctx, o); diff != nil || err != nil {
		return diff, err
	}
	for _, s := range []*side{r.oracle, r.subject} {
		s.streams[o.N].close()
		delete(s.streams, o.N)
	}
	r.forget(func(w *watcher) bool { return w.stream == o.N })
	return nil, nil
}

func (r *Runner) forget(gone func(*watcher) bool) { r.watchers = slices.DeleteFunc(r.watchers, gone) }

// watch sends a request on a stream that is open; without one it does nothing.
func (r *Runner) watch(ctx context.Context, o Op, req *pb.WatchRequest) (*Difference, error) {
	if r.oracle.streams[o.N] == nil {
		return nil, nil
	}
	switch u := req.RequestUnion.(type) {
	case *pb.WatchRequest_CreateRequest:
		return r.watchCreate(ctx, o, u.CreateRequest)
	case *pb.WatchRequest_CancelRequest:
		return r.watchCancel(ctx, o, req, u.CancelRequest.WatchId)
	case *pb.WatchRequest_ProgressRequest:
		return r.watchProgress(ctx, o, req)
	}
	return r.sendBoth(o, req), nil
}

// sendBoth sends a request on a stream of both sides.
func (r *Runner) sendBoth(o Op, req *pb.WatchRequest) *Difference {
	for _, s := range []*side{r.oracle, r.subject} {
		if err := s.streams[o.N].send(req); err != nil {
			return r.differ(o, req, s.Name+": a watch stream does not take requests", "", err.Error())
		}
	}
	return nil
}

func (r *Runner) watchCreate(ctx context.Context, o Op, c *pb.WatchCreateRequest) (*Difference, error) {
	if err := r.subject.catchUp(ctx, r.subject.streams[o.N].gateway); err != nil {
		return nil, err
	}
	if err := r.hist.reach(ctx, r.state.Now); err != nil {
		return nil, err
	}
	req := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: c}}
	if diff := r.sendBoth(o, req); diff != nil {
		return diff, nil
	}
	oracle, subject := r.created(ctx, r.oracle, o.N), r.created(ctx, r.subject, o.N)
	if diff := r.judge(o, req, oracle, subject); diff != nil || !oracle.ok() {
		return diff, nil
	}
	created := oracle.msg.(*pb.WatchResponse)
	if created.Canceled {
		return nil, nil
	}
	w := &watcher{stream: o.N, id: created.WatchId, create: c}
	start := c.StartRevision
	if start == 0 {
		start = created.Header.Revision + 1
	}
	if start < r.state.Compacted {
		if diff := r.awaitCanceled(ctx, o, req, w.id); diff != nil {
			return diff, nil
		}
		return nil, r.release(ctx, o, w.id)
	}
	if c.StartRevision > 0 && c.StartRevision <= r.state.Now {
		w.behind = time.Now()
	}
	w.pos = r.hist.position(start)
	r.watchers = append(r.watchers, w)
	return nil, nil
}

// created waits for the answer to the last create on a stream.
func (r *Runner) created(ctx context.Context, s *side, n int) answer {
	st := s.streams[n]
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	if !st.wait(ctx, func() bool { return len(st.creating) == 0 }) {
		return answer{note: "no created response: " + st.fate()}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	last := st.created[len(st.created)-1]
	st.created = nil
	return answer{msg: last}
}

// awaitCanceled waits until a watcher is canceled on both sides and compares how.
func (r *Runner) awaitCanceled(ctx context.Context, o Op, req *pb.WatchRequest, id int64) *Difference {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	var answers []answer
	for _, s := range []*side{r.oracle, r.subject} {
		st := s.streams[o.N]
		st.wait(ctx, func() bool { w := st.watchers[id]; return w != nil && w.canceled != nil })
		a := answer{note: "no canceled response: " + st.fate()}
		if c := st.canceledResponse(id); c != nil {
			a = answer{msg: c}
		}
		answers = append(answers, a)
	}
	r.forget(func(w *watcher) bool { return w.stream == o.N && w.id == id })
	return r.judge(o, req, answers[0], answers[1])
}

// release cancels a watcher that compaction has canceled. etcd keeps such a watcher in
// its stream until the client cancels it too; meanwhile its id stays taken and no
// progress request is answered. No client relies on that, so the subject may forget
// the watcher at once: its second canceled response may be missing.
func (r *Runner) release(ctx context.Context, o Op, id int64) error {
	req := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}
	for _, s := range []*side{r.oracle, r.subject} {
		st := s.streams[o.N]
		st.mu.Lock()
		w := st.watchers[id]
		w.released = true
		st.mu.Unlock()
		if err := st.send(req); err != nil {
			return fmt.Errorf("diff: %s: cancel a compacted watcher: %w", s.Name, err)
		}
		if s == r.oracle {
			ctx, cancel := context.WithTimeout(ctx, r.patience)
			st.wait(ctx, func() bool { return !w.released })
			cancel()
		}
	}
	return nil
}

// settle waits until no watcher is catching up. It asks for progress, which says
// that all watchers of a stream are synced; where a watcher of the future keeps a
// stream silent, it lets ten of etcd's catch-up periods pass.
func (r *Runner) settle(ctx context.Context, o Op) (*Difference, error) {
	const enough = time.Second
	for _, w := range r.watchers {
		if w.behind.IsZero() {
			continue
		}
		if r.answersProgress(w.stream) {
			if diff, err := r.watchProgress(ctx, Op{Kind: KindWatch, Gateway: o.Gateway, N: w.stream, Msg: progressRequest}, progressRequest); diff != nil || err != nil {
				return diff, err
			}
			continue
		}
		select {
		case <-time.After(time.Until(w.behind.Add(enough))):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		w.behind = time.Time{}
	}
	return nil, nil
}

var progressRequest = &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}

// answersProgress reports whether a request for progress is due an answer once all
// watchers have caught up.
func (r *Runner) answersProgress(stream int) bool {
	watchers := 0
	for _, w := range r.watchers {
		if w.stream == stream {
			watchers++
			if w.create.StartRevision > r.state.Now {
				return false
			}
		}
	}
	return watchers > 0
}

// latestStart is the highest revision that a watcher of the stream starts at,
// 0 if it has none.
func (r *Runner) latestStart(stream int) int64 {
	var latest int64
	for _, w := range r.watchers {
		if w.stream == stream {
			latest = max(latest, w.create.StartRevision)
		}
	}
	return latest
}

func (r *Runner) watchCancel(ctx context.Context, o Op, req *pb.WatchRequest, id int64) (*Difference, error) {
	if diff, err := r.drain(ctx, o); diff != nil || err != nil {
		return diff, err
	}
	if err := r.subject.catchUp(ctx, r.subject.streams[o.N].gateway); err != nil {
		return nil, err
	}
	if diff := r.sendBoth(o, req); diff != nil {
		return diff, nil
	}
	known := slices.ContainsFunc(r.watchers, func(w *watcher) bool { return w.stream == o.N && w.id == id })
	if !known {
		return nil, nil // silence; anything that comes is a violation of its stream
	}
	return r.awaitCanceled(ctx, o, req, id), nil
}

// watchProgress requests progress. It is answered when every watcher of the stream is
// synced and none starts in the future, at the current revision; otherwise, and on a
// stream without watchers, nothing comes.
func (r *Runner) watchProgress(ctx context.Context, o Op, req *pb.WatchRequest) (*Difference, error) {
	if diff, err := r.drain(ctx, o); diff != nil || err != nil {
		return diff, err
	}
	if err := r.subject.catchUp(ctx, r.subject.streams[o.N].gateway); err != nil {
		return nil, err
	}
	if !r.answersProgress(o.N) {
		r.progress.ProgressSilent.Add(1)
		if start := r.latestStart(o.N); start > 0 {
			for _, s := range []*side{r.oracle, r.subject} {
				st := s.streams[o.N]
				st.mu.Lock()
				st.early = append(st.early, start)
				st.mu.Unlock()
			}
		}
		return r.sendBoth(o, req), nil // drain checks that nothing came
	}
	for _, s := range []*side{r.oracle, r.subject} {
		if what := r.awaitProgress(ctx, s.streams[o.N], req); what != "" {
			return r.differ(o, req, s.Name+": "+what, "", ""), nil
		}
	}
	for _, w := range r.watchers {
		if w.stream == o.N {
			w.behind = time.Time{}
		}
	}
	return nil, nil
}

// awaitProgress requests progress until it is answered at the current revision. It
// returns what is wrong, if anything.
func (r *Runner) awaitProgress(ctx context.Context, st *stream, req *pb.WatchRequest) string {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	for ctx.Err() == nil {
		st.mu.Lock()
		st.allowed++
		before := len(st.progress)
		st.mu.Unlock()
		if err := st.send(req); err != nil {
			return "requesting progress: " + err.Error()
		}
		try, stop := context.WithTimeout(ctx, askProgressEvery)
		answered := st.wait(try, func() bool { return len(st.progress) > before })
		stop()
		st.mu.Lock()
		var rev int64
		if answered {
			rev = st.progress[len(st.progress)-1]
		}
		violation := st.violation
		st.mu.Unlock()
		switch {
		case violation != "":
			return violation
		case rev > r.state.Now:
			return fmt.Sprintf("progress at %d, but the revision is %d", rev, r.state.Now)
		case rev == r.state.Now:
			return ""
		}
	}
	return fmt.Sprintf("no progress answer at revision %d in %s", r.state.Now, r.patience)
}

// drain waits until every watcher has got on both sides what the history has for it,
// and compares (D4). It also looks at every stream's own violations.
func (r *Runner) drain(ctx context.Context, o Op) (*Difference, error) {
	if err := r.hist.reach(ctx, r.state.Now); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	for _, w := range r.watchers {
		r.expect(w)
		for _, s := range []*side{r.oracle, r.subject} {
			st := s.streams[w.stream]
			st.wait(ctx, func() bool { got := st.watchers[w.id]; return got.events >= w.expected || got.canceled != nil })
		}
		// A violation says more than the difference that follows from it.
		if diff := r.checkStreams(o); diff != nil {
			return diff, nil
		}
		if diff := r.compareWatcher(o, w); diff != nil {
			return diff, nil
		}
	}
	return r.checkStreams(o), nil
}

// expect counts what a watcher must have got by now.
func (r *Runner) expect(w *watcher) {
	if start := w.create.StartRevision; start > 0 {
		w.pos = max(w.pos, r.hist.position(start)) // a start in the future skips what comes before
	}
	n, next := r.hist.count(w.pos, w.create)
	w.expected, w.pos = w.expected+n, next
}

func (r *Runner) compareWatcher(o Op, w *watcher) *Difference {
	ost, sst := r.oracle.streams[w.stream], r.subject.streams[w.stream]
	og, sg := ost.take(w.id), sst.take(w.id)
	name := fmt.Sprintf("watcher %d of stream %d (%s)", w.id, w.stream, brief(w.create))
	for _, s := range []*side{r.oracle, r.subject} {
		if c := s.streams[w.stream].canceledResponse(w.id); c != nil {
			return r.differ(o, nil, fmt.Sprintf("%s: %s canceled it: %s", name, s.Name, brief(c)), "", "")
		}
	}
	for i := range max(len(og), len(sg)) {
		var ot, stext string
		if i < len(og) {
			ot = briefEvents(og[i].events)
		}
		if i < len(sg) {
			stext = briefEvents(sg[i].events)
		}
		what := ""
		switch {
		case ot == "":
			what = "events that etcd does not send"
		case stext == "":
			what = "events are missing"
		case !sameEvents(og[i], sg[i]):
			what = "the events of a revision differ"
		}
		if what != "" {
			return r.differ(o, nil, fmt.Sprintf("%s (%s; response %d, of %d and %d)", what, name, i, len(og), len(sg)), ot, stext)
		}
		r.progress.Events.Add(int64(len(og[i].events)))
	}
	for _, s := range []*side{r.oracle, r.subject} {
		if n := s.streams[w.stream].delivered(w.id); n != w.expected {
			return r.differ(o, nil, fmt.Sprintf("%s: %s delivered %d events, the history has %d", name, s.Name, n, w.expected), "", "")
		}
	}
	if w.expected > 0 {
		w.behind = time.Time{}
	}
	return nil
}

func sameEvents(a, b group) bool {
	return proto.Equal(&pb.WatchResponse{Events: a.events}, &pb.WatchResponse{Events: b.events})
}

// checkStreams looks for violations, and for answers to progress requests that etcd
// would not answer.
func (r *Runner) checkStreams(o Op) *Difference {
	for _, s := range []*side{r.oracle, r.subject} {
		for n, st := range s.streams {
			st.mu.Lock()
			what := st.violation
			if due := st.due(); what == "" && len(st.progress) > due {
				what = fmt.Sprintf("%d progress answers, %d were due", len(st.progress), due)
			}
			st.mu.Unlock()
			if what != "" {
				return r.differ(o, nil, fmt.Sprintf("%s: stream %d: %s", s.Name, n, what), "", "")
			}
		}
	}
	return nil
}
