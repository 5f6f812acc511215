package transport

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// raftSender is the outgoing Raft stream to one node.
type raftSender struct {
	t     *Transport
	to    proto.NodeID
	wake  chan struct{}
	nudge chan struct{} // the next stream is worth a try

	broken atomic.Bool // the last try failed, the next one did not succeed yet

	mu     sync.Mutex
	queue  []*pontoonpb.RaftMessage
	bytes  int
	pushed proto.Revision
	kicked bool
}

func newRaftSender(t *Transport, to proto.NodeID) *raftSender {
	return &raftSender{t: t, to: to, wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1)}
}

func (s *raftSender) send(m *pontoonpb.RaftMessage) bool {
	s.mu.Lock()
	full := len(s.queue) >= s.t.opts.RaftQueue || s.bytes >= s.t.opts.RaftQueueBytes
	if !full {
		s.queue = append(s.queue, m)
		s.bytes += len(m.Message)
	}
	s.mu.Unlock()
	s.signal()
	if full {
		s.t.opts.OnSendFailure(s.to)
	}
	return !full
}

func (s *raftSender) push(rev proto.Revision) {
	s.mu.Lock()
	s.pushed = max(s.pushed, rev)
	s.mu.Unlock()
	s.signal()
}

func (s *raftSender) kick() {
	s.mu.Lock()
	s.kicked = true
	s.mu.Unlock()
	s.signal()
}

func (s *raftSender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns the next frame without closed updates, nil if nothing waits.
func (s *raftSender) take() *pontoonpb.RaftFrame {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 && s.pushed == 0 && !s.kicked {
		return nil
	}
	f := &pontoonpb.RaftFrame{
		FromNode: uint64(s.t.opts.NodeID), ClusterId: s.t.opts.ClusterID, PushRevision: int64(s.pushed),
	}
	s.pushed, s.kicked = 0, false
	n, bytes := 0, 0
	for n < len(s.queue) && bytes < s.t.opts.FrameBytes {
		bytes += len(s.queue[n].Message)
		n++
	}
	f.Messages = s.queue[:n:n]
	s.queue = s.queue[n:]
	s.bytes -= bytes
	if len(s.queue) == 0 {
		s.queue = nil
	}
	return f
}

// dropAll empties the queue: raft repeats what mattered, and what is old only
// delays it.
func (s *raftSender) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.bytes = nil, 0
}

func (s *raftSender) run(ctx context.Context) {
	defer s.t.wg.Done()
	retry := backoff{min: s.t.opts.RetryMin, max: s.t.opts.RetryMax, nudge: s.nudge}
	for ctx.Err() == nil {
		sent, err := s.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		s.broken.Store(true)
		s.t.opts.OnSendFailure(s.to)
		if sent {
			retry.reset()
			s.t.opts.Logger.Warn("raft stream broken", slog.Uint64("node", uint64(s.to)), slog.Any("error", err))
		}
		s.dropAll()
		if !retry.wait(ctx) {
			return
		}
	}
}

// stream opens one stream and fills it until it breaks. sent: a frame got out.
func (s *raftSender) stream(ctx context.Context) (sent bool, err error) {
	client, err := s.t.client(s.to)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Raft(ctx, callOptions())
	if err != nil {
		return false, err
	}
	s.broken.Store(false)
	fresh := true
	for {
		frame := s.take()
		if frame == nil && !fresh {
			select {
			case <-s.wake:
				runtime.Gosched() // what is about to be queued goes along
				continue
			case <-stream.Context().Done():
				return sent, streamError(stream)
			}
		}
		if frame == nil {
			frame = &pontoonpb.RaftFrame{FromNode: uint64(s.t.opts.NodeID), ClusterId: s.t.opts.ClusterID}
		}
		frame.Closed = s.t.opts.Handler.ClosedUpdates(s.to, fresh)
		frame.Liveness = s.t.opts.Handler.Liveness(s.to, fresh)
		fresh = false
		if err := stream.Send(frame); err != nil {
			return sent, streamError(stream)
		}
		sent = true
	}
}

// streamError returns why the peer ended the stream.
func streamError(stream grpc.ClientStreamingClient[pontoonpb.RaftFrame, pontoonpb.RaftAck]) error {
	if _, err := stream.CloseAndRecv(); err != nil {
		return err
	}
	return context.Canceled
}
