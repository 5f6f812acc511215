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
// A second goroutine waits for limits and confirmations, so that asks that
// arrive meanwhile take their numbers and share the next confirmation.
func (s *Server) Sequence(stream pontoonpb.Peer_SequenceServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	asked := make(chan *waiter, streamDepth)
	sent := make(chan error, 1)
	go func() {
		err := s.sendAnswers(ctx, stream, asked)
		cancel()
		sent <- err
	}()
	err := s.takeAsks(ctx, stream, asked)
	close(asked)
	if sendErr := <-sent; err == nil {
		err = sendErr
	}
	return err
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
		select {
		case asked <- s.submit(ask):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendAnswers sends in order. All answers at hand share one confirmation.
func (s *Server) sendAnswers(ctx context.Context, stream pontoonpb.Peer_SequenceServer, asked <-chan *waiter) error {
	defer func() {
		for w := range asked {
			s.forget(w)
		}
	}()
	for first := range asked {
		if err := s.wait(ctx, first); err != nil {
			return err
		}
		answers := []Answer{first.answer}
		var blocked *waiter
		for more := true; more && blocked == nil; {
			select {
			case w, ok := <-asked:
				switch {
				case !ok:
					more = false
				case w.ready():
					answers = append(answers, w.answer)
				default:
					blocked = w
				}
			default:
				more = false
			}
		}
		if err := s.sendConfirmed(ctx, stream, answers); err != nil {
			return err
		}
		if blocked != nil {
			if err := s.wait(ctx, blocked); err != nil {
				return err
			}
			if err := s.sendConfirmed(ctx, stream, []Answer{blocked.answer}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) sendConfirmed(ctx context.Context, stream pontoonpb.Peer_SequenceServer, answers []Answer) error {
	var term proto.Term
	confirmed := false
	for _, a := range answers {
		if a.Term != 0 && a.Term != term {
			term = a.Term
			confirmed = s.confirmed(ctx, term)
		}
		if err := stream.Send(s.release(a, confirmed)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) wait(ctx context.Context, w *waiter) error {
	if w.done == nil {
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		s.forget(w)
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
