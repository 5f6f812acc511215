package watchmux

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/watchmux/merge"
)

// Service implements etcd's Watch service.
type Service struct {
	etcdserverpb.UnimplementedWatchServer
	opts    Options
	ports   Ports
	metrics *metrics

	ctx    context.Context // ends with Close; parent of all that runs here
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	kernel  *merge.Mux
	runners map[*merge.Part]*runner
	ready   []*task // watchers that wait for a catch-up worker
	workers int
	wish    proto.Revision // closing that watchers which are not joined wait for

	pushWake chan struct{}
}

// New returns a service. Start must be called before it serves.
func New(opts Options, ports Ports) (*Service, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	s := &Service{
		opts: opts, ports: ports, metrics: newMetrics(opts.Registerer),
		kernel: merge.New(opts.Limits), runners: map[*merge.Part]*runner{},
		pushWake: make(chan struct{}, 1),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Start spawns what runs in the background.
func (s *Service) Start() {
	s.wg.Go(s.push)
	s.wg.Go(s.sweep)
}

// Close ends all streams with Unavailable, so that clients resume elsewhere,
// and waits for everything that runs.
func (s *Service) Close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.wg.Wait()
}

// goLocked spawns unless the service is closing.
func (s *Service) goLocked(f func()) bool {
	if s.ctx.Err() != nil {
		return false
	}
	s.wg.Go(f)
	return true
}

// Watch serves one client stream.
func (s *Service) Watch(grpcStream etcdserverpb.Watch_WatchServer) error {
	st := newStream(s, grpcStream)
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.mu.Unlock()
		return rpctypes.ErrGRPCStopped
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	return st.serve()
}

// afterLocked does what the kernel calls before asked for. Called with the
// lock held, after every step.
func (s *Service) afterLocked() {
	out := s.kernel.Drain()
	for _, g := range out.Woken {
		g.Tag.(*stream).wake()
	}
	for _, w := range out.Spilled {
		s.metrics.spilled.Inc()
		s.enqueueLocked(w.Tag.(*task))
	}
	if s.kernel.Waiting() > 0 {
		s.wakePusher()
	}
}

func (s *Service) wakePusher() {
	select {
	case s.pushWake <- struct{}{}:
	default:
	}
}

// sweep closes feeds that nobody watched for a while and keeps idle ranges
// closing.
func (s *Service) sweep() {
	linger := time.NewTicker(max(s.opts.Linger/2, time.Millisecond))
	defer linger.Stop()
	refresh := time.NewTicker(max(s.opts.RefreshInterval, time.Millisecond))
	defer refresh.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-linger.C:
			s.closeIdle()
		case <-refresh.C:
			s.refresh()
		}
	}
}

func (s *Service) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, r := range s.runners {
		if p.Watched() {
			r.idle = 0
			continue
		}
		if r.idle++; r.idle > 2 {
			s.kernel.RemovePart(p)
			r.cancel()
		}
	}
}

// pause waits; false: ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// streamError is what a client is told when its stream ends.
func streamError(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, context.Canceled):
		return rpctypes.ErrGRPCWatchCanceled
	default:
		return err
	}
}
