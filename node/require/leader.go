package require

import (
	"context"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// patience is how many times in a row there must be no leader before streams
// end: to reconnect costs clients much more than a refused request.
const patience = 3

// Options configure Requirements.
type Options struct {
	Node            Node
	ElectionTimeout time.Duration // between two looks for a leader
}

// Requirements follows the leader for the streams that require one.
type Requirements struct {
	opts   Options
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	streams map[*ledStream]struct{}
}

// New returns requirements; Start makes streams end.
func New(opts Options) *Requirements {
	return &Requirements{opts: opts, cancel: func() {}, streams: map[*ledStream]struct{}{}}
}

// ledStream is a stream that requires a leader.
type ledStream struct {
	grpc.ServerStream
	ctx context.Context
	end context.CancelCauseFunc
}

// Context implements grpc.ServerStream.
func (s *ledStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream. A handler that waits for its client
// would not notice the end of its context.
func (s *ledStream) RecvMsg(m any) error {
	got := make(chan error, 1)
	go func() { got <- s.ServerStream.RecvMsg(m) }()
	select {
	case err := <-got:
		return err
	case <-s.ctx.Done():
		if cause := context.Cause(s.ctx); cause == rpctypes.ErrGRPCNoLeader {
			return cause
		}
		return <-got
	}
}

func (r *Requirements) add(s *ledStream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams[s] = struct{}{}
}

func (r *Requirements) remove(s *ledStream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.streams, s)
}

// Start looks for a leader every election timeout.
func (r *Requirements) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.wg.Go(func() {
		t := time.NewTicker(r.opts.ElectionTimeout)
		defer t.Stop()
		misses := 0
		for {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			if misses++; r.opts.Node.HasLeader() {
				misses = 0
			}
			if misses >= patience {
				r.endAll()
			}
		}
	})
}

func (r *Requirements) endAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.streams {
		s.end(rpctypes.ErrGRPCNoLeader)
	}
	clear(r.streams)
}

// Close stops looking.
func (r *Requirements) Close() {
	r.cancel()
	r.wg.Wait()
}
