package watchmux

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	pontoon "github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/watchmux/merge"
)

// maxOps is how many requests of a stream share one read revision.
const maxOps = 512

// stream is one client stream: three goroutines that receive, operate the
// kernel and send.
type stream struct {
	s      *Service
	grpc   etcdserverpb.Watch_WatchServer
	ctx    context.Context
	cancel context.CancelCauseFunc
	group  *merge.Group
	ops    chan *etcdserverpb.WatchRequest

	signal  chan struct{} // something to send
	drained chan struct{} // something was sent
	parked  []*task       // wait for room in the queue; guarded by s.mu
}

func newStream(s *Service, grpc etcdserverpb.Watch_WatchServer) *stream {
	st := &stream{
		s: s, grpc: grpc, ops: make(chan *etcdserverpb.WatchRequest, 64),
		signal: make(chan struct{}, 1), drained: make(chan struct{}, 1),
	}
	st.ctx, st.cancel = context.WithCancelCause(grpc.Context())
	s.mu.Lock()
	st.group = s.kernel.NewGroup()
	st.group.Tag = st
	s.mu.Unlock()
	return st
}

// wake tells the sender that the queue grew or that a task was parked.
func (st *stream) wake() {
	select {
	case st.signal <- struct{}{}:
	default:
	}
}

// serve runs the stream to its end.
func (st *stream) serve() error {
	// receive and send may block in gRPC until the handler has returned, so
	// nobody waits for them here.
	go st.receive()
	go st.send()
	operated := make(chan struct{})
	go func() { defer close(operated); st.operate() }()
	select {
	case <-st.ctx.Done():
	case <-st.s.ctx.Done():
		st.cancel(rpctypes.ErrGRPCStopped)
	}
	<-operated
	st.s.mu.Lock()
	st.s.metrics.watchers.Sub(float64(st.group.Len()))
	st.s.kernel.CloseGroup(st.group)
	for _, t := range st.parked { // nobody brings them back
		st.s.settledLocked(t)
	}
	st.parked = nil
	st.s.afterLocked()
	st.s.mu.Unlock()
	return streamError(context.Cause(st.ctx))
}

func (st *stream) receive() {
	for {
		req, err := st.grpc.Recv()
		if errors.Is(err, io.EOF) {
			return // as in etcd: no more requests, but events go on
		}
		if err != nil {
			st.cancel(err)
			return
		}
		select {
		case st.ops <- req:
		case <-st.ctx.Done():
			return
		}
	}
}

// operate executes the client's requests in order, as many as wait at one read
// revision, and the periodic tick.
func (st *stream) operate() {
	interval := st.s.opts.ProgressInterval
	tick := time.NewTicker(interval + rand.N(interval/10+1))
	defer tick.Stop()
	for {
		select {
		case <-st.ctx.Done():
			return
		case <-tick.C:
			st.tick()
		case req := <-st.ops:
			batch := []*etcdserverpb.WatchRequest{req}
			for more := true; more && len(batch) < maxOps; {
				select {
				case req := <-st.ops:
					batch = append(batch, req)
				default:
					more = false
				}
			}
			st.execute(batch)
		}
	}
}

// execute runs a batch of requests at a read revision taken after they came
// (I2).
func (st *stream) execute(batch []*etcdserverpb.WatchRequest) {
	read, ok := st.read(batch)
	if !ok || !st.room() {
		return
	}
	refused, err := st.permit(batch)
	if err != nil {
		st.cancel(err)
		return
	}
	s := st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, req := range batch {
		switch r := req.RequestUnion.(type) {
		case *etcdserverpb.WatchRequest_CreateRequest:
			if r.CreateRequest != nil {
				st.createLocked(r.CreateRequest, read, refused[i])
			}
		case *etcdserverpb.WatchRequest_CancelRequest:
			if r.CancelRequest != nil && s.kernel.Cancel(st.group, r.CancelRequest.WatchId, read.Revision) {
				s.metrics.watchers.Dec()
			}
		case *etcdserverpb.WatchRequest_ProgressRequest:
			if r.ProgressRequest != nil {
				s.kernel.AskProgress(st.group, read.Revision)
			}
		}
	}
	s.afterLocked()
}

// permit returns for each request of a batch why it is not allowed, "" if it is.
// It is asked after the read revision: what that brought is obeyed (P9).
func (st *stream) permit(batch []*etcdserverpb.WatchRequest) (refused []string, err error) {
	refused = make([]string, len(batch))
	for i, req := range batch {
		if r := req.GetCreateRequest(); r != nil && st.s.ports.Permissions != nil {
			if refused[i], err = st.s.ports.Permissions.MayWatch(st.ctx, r.Key, r.RangeEnd); err != nil {
				return nil, err
			}
		}
	}
	return refused, nil
}

// createLocked creates a watcher and, if its parts are there, joins it at once.
// A start below every revision is wrong whoever asks, so that is said first.
func (st *stream) createLocked(r *etcdserverpb.WatchCreateRequest, read Read, refused string) {
	s := st.s
	if r.StartRevision < 0 {
		refused = rpctypes.ErrCompacted.Error()
	}
	if refused != "" {
		s.kernel.Refuse(st.group, refused, read.Revision)
		return
	}
	w, err := s.kernel.Create(st.group, specOf(r), read.Revision)
	if err != nil {
		s.kernel.Refuse(st.group, err.Error(), read.Revision)
		return
	}
	s.metrics.watchers.Inc()
	t := &task{w: w, st: st, created: read.Revision}
	w.Tag = t
	if w.Historic() && w.Next() < read.Floor {
		s.metrics.compacted.Inc()
		s.kernel.Compact(w, read.Floor)
		return
	}
	if needs, ok := s.kernel.Join(w, read.Revision); ok && len(needs) > 0 {
		s.kernel.Leave(w)
	}
	if !w.Live() {
		s.enqueueLocked(t)
	}
}

// read returns a read revision, trying until there is one: a watch that starts
// now cannot know otherwise where that is. Cancels alone do without, their
// header is not worth a wait.
func (st *stream) read(batch []*etcdserverpb.WatchRequest) (Read, bool) {
	cancels := !slices.ContainsFunc(batch, func(r *etcdserverpb.WatchRequest) bool { return r.GetCancelRequest() == nil })
	retry := firstRetry
	for {
		ctx, stop := context.WithTimeout(st.ctx, lastRetry)
		read, err := st.s.ports.Sequencer.ReadRevision(ctx)
		stop()
		if err == nil {
			return read, true
		}
		if cancels && st.ctx.Err() == nil {
			return Read{Revision: st.s.ports.Sequencer.Seen(), Floor: pontoon.NeverCompacted}, true
		}
		if !pause(st.ctx, jitter(retry)) {
			return Read{}, false
		}
		retry = min(2*retry, lastRetry)
	}
}

// room waits until the client has taken most of what it was told: its requests
// are not answered into an unbounded queue.
func (st *stream) room() bool {
	for {
		st.s.mu.Lock()
		room := st.s.kernel.Room(st.group)
		st.s.mu.Unlock()
		if room {
			return true
		}
		select {
		case <-st.ctx.Done():
			return false
		case <-st.drained:
		}
	}
}

// tick sends periodic progress notices.
func (st *stream) tick() {
	st.s.mu.Lock()
	ticks := st.group.Ticks()
	st.s.mu.Unlock()
	if !ticks {
		return
	}
	ctx, cancel := context.WithTimeout(st.ctx, minProgressInterval)
	defer cancel()
	read, err := st.s.ports.Sequencer.ReadRevision(ctx)
	if err != nil {
		return // the next tick tries again
	}
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.s.kernel.TickProgress(st.group, read.Revision)
	st.s.afterLocked()
}
