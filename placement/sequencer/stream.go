package sequencer

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	// streamDepth bounds the asks of one stream that are not answered yet.
	streamDepth = 64
	// maxCount bounds the numbers of one ask. A client folds at most its
	// ranges' batches into one.
	maxCount = 1 << 20
)

// Sequence serves one client's stream: asks in, answers out in the same order.
// A second goroutine takes asks in, so that those that arrive while an answer
// waits for a limit or a confirmation take their numbers and share the next
// confirmation.
func (s *Server) Sequence(stream pontoonpb.Peer_SequenceServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel() // ends takeAsks, as does the end of the stream
	asked := make(chan *waiter, streamDepth)
	taken := make(chan error, 1)
	go func() {
		taken <- s.takeAsks(ctx, stream, asked)
		close(asked)
	}()
	if err := s.sendAnswers(ctx, stream, asked); err != nil {
		go s.finishAll(asked)
		return err
	}
	return <-taken
}

// finishAll ends what was asked on a stream that is gone.
func (s *Server) finishAll(asked <-chan *waiter) {
	for w := range asked {
		s.finish(w)
	}
}

func (s *Server) takeAsks(ctx context.Context, stream pontoonpb.Peer_SequenceServer, asked chan<- *waiter) error {
	for {
		ask, err := stream.Recv()
		if err != nil {
			return err
		}
		if ask.ClusterId != s.opts.ClusterID {
			return status.Error(codes.FailedPrecondition, "pontoon: ask of another cluster")
		}
		if ask.Count < 0 || ask.Count > maxCount || ask.Sequence == 0 {
			return status.Errorf(codes.InvalidArgument, "pontoon: ask %d for %d numbers", ask.Sequence, ask.Count)
		}
		w := s.submit(ask)
		select {
		case asked <- w:
		case <-ctx.Done():
			s.finish(w)
			return ctx.Err()
		}
	}
}

// sendAnswers sends in order. All answers at hand share one confirmation.
func (s *Server) sendAnswers(ctx context.Context, stream pontoonpb.Peer_SequenceServer, asked <-chan *waiter) error {
	for next := <-asked; next != nil; {
		if err := next.wait(ctx); err != nil {
			s.finish(next)
			return err
		}
		batch := []*waiter{next}
		next = nil
		for next == nil {
			var more bool
			if next, more = poll(asked); !more {
				break
			}
			if next.ready() {
				batch, next = append(batch, next), nil
			}
		}
		err := s.sendConfirmed(ctx, stream, batch)
		for _, w := range batch {
			s.finish(w)
		}
		if err != nil {
			if next != nil {
				s.finish(next)
			}
			return err
		}
		if next == nil {
			next = <-asked
		}
	}
	return nil
}

// poll takes a waiter without blocking; false: none is there.
func poll(asked <-chan *waiter) (*waiter, bool) {
	select {
	case w, ok := <-asked:
		return w, ok
	default:
		return nil, false
	}
}

func (s *Server) sendConfirmed(ctx context.Context, stream pontoonpb.Peer_SequenceServer, batch []*waiter) error {
	var term proto.Term
	confirmed := false
	for _, w := range batch {
		if a := w.answer; a.Term != 0 && a.Term != term {
			term = a.Term
			confirmed = s.confirmed(ctx, term)
		}
		if err := stream.Send(s.release(w.answer, confirmed)); err != nil {
			return err
		}
	}
	return nil
}

// wait blocks until the answer is there.
func (w *waiter) wait(ctx context.Context) error {
	if w.done == nil {
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ready reports whether the answer is there.
func (w *waiter) ready() bool {
	if w.done == nil {
		return true
	}
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}
