package auth

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"
)

// noWatch is the id in the answer to a watch that was not created.
const noWatch = -1

// Watch guards a Watch service.
type Watch struct {
	pb.WatchServer
	guard  *Guard
	header func() *pb.ResponseHeader
}

// Watch returns w guarded. header is for answers of the guard itself.
func (g *Guard) Watch(w pb.WatchServer, header func() *pb.ResponseHeader) *Watch {
	return &Watch{WatchServer: w, guard: g, header: header}
}

// Watch implements etcdserverpb.WatchServer.
func (s *Watch) Watch(stream pb.Watch_WatchServer) error {
	return s.WatchServer.Watch(&watchStream{Watch_WatchServer: stream, s: s})
}

// watchStream lets permitted watches through and answers the others itself. The
// service behind it sends from a goroutine of its own.
type watchStream struct {
	pb.Watch_WatchServer
	s *Watch

	send sync.Mutex

	mu      sync.Mutex
	waiting []created // let through, not answered yet
}

// created is a watch that was let through under the rules of an epoch.
type created struct {
	key, end []byte
	epoch    uint64
}

// Recv implements grpc.BidiStreamingServer.
func (w *watchStream) Recv() (*pb.WatchRequest, error) {
	for {
		r, err := w.Watch_WatchServer.Recv()
		if err != nil {
			return nil, err
		}
		c := r.GetCreateRequest()
		if c == nil {
			return r, nil
		}
		refused, err := w.permit(c)
		if err != nil {
			return nil, err
		}
		if refused == nil {
			return r, nil
		}
		if err := w.write(refused); err != nil {
			return nil, err
		}
	}
}

// permit returns the answer to a watch that is not allowed, nil if it is.
func (w *watchStream) permit(c *pb.WatchCreateRequest) (*pb.WatchResponse, error) {
	key := c.Key
	if len(key) == 0 {
		key = []byte{0}
	}
	rules, err := w.s.guard.allow(w.Context(), mayRead(key, c.RangeEnd))
	if err != nil {
		if rules, e := w.s.guard.Current(w.Context()); e != nil || !rules.Enabled() {
			return nil, err // the rules could not be read
		}
		why := reason(err).Error()
		if c.StartRevision < 0 { // wrong whoever asks, so etcd says that first
			why = rpctypes.ErrorDesc(rpctypes.ErrGRPCCompacted)
		}
		return &pb.WatchResponse{Header: w.s.header(), WatchId: noWatch, Created: true, Canceled: true, CancelReason: why}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, created{key, c.RangeEnd, rules.epoch})
	return nil, nil
}

func mayRead(key, end []byte) func(context.Context, caller) error {
	return func(_ context.Context, c caller) error { return c.read(key, end) }
}

// reason is what etcd says of a watch that is not allowed.
func reason(err error) error {
	for _, e := range []error{rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCAuthOldRevision, rpctypes.ErrGRPCUserEmpty} {
		if errors.Is(err, e) || status.Convert(err).Message() == status.Convert(e).Message() {
			return e
		}
	}
	return rpctypes.ErrGRPCPermissionDenied
}

// Send implements grpc.BidiStreamingServer. The answer to a create request names
// a revision that was asked for after the request came, so the epoch that came
// with it is known by now: if it is newer than the one that the request was
// checked under, it is checked again (I3).
func (w *watchStream) Send(m *pb.WatchResponse) error {
	if m.Created { // or refused by the service: nothing waits for it any more
		if err := w.answered(); err != nil {
			return err
		}
	}
	return w.write(m)
}

func (w *watchStream) write(m *pb.WatchResponse) error {
	w.send.Lock()
	defer w.send.Unlock()
	return w.Watch_WatchServer.Send(m)
}

// answered checks all that waits, since answers may come in another order. A
// watch that is no longer allowed ends the stream: the client makes its watches
// anew, and each gets its own answer.
func (w *watchStream) answered() error {
	newest := w.s.guard.seq.AuthEpoch()
	w.mu.Lock()
	waiting := w.waiting
	if len(waiting) > 0 && waiting[0].epoch >= newest {
		w.waiting = waiting[1:]
		w.mu.Unlock()
		return nil
	}
	w.mu.Unlock()
	rules, err := w.s.guard.Current(w.Context())
	if err != nil {
		return err
	}
	for i := range waiting {
		if err := rules.allow(w.Context(), mayRead(waiting[i].key, waiting[i].end)); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.waiting {
		w.waiting[i].epoch = max(w.waiting[i].epoch, min(rules.epoch, newest))
	}
	if len(w.waiting) > 0 {
		w.waiting = w.waiting[1:]
	}
	return nil
}
