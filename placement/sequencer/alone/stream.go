package alone

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// stream is one node's stream without a network: messages cross it encoded, by
// the codec that gRPC takes.
type stream struct {
	grpc.ServerStream
	ctx     context.Context
	codec   encoding.CodecV2
	asks    chan mem.BufferSlice
	replies chan mem.BufferSlice
}

func (s *stream) Context() context.Context { return s.ctx }

// Recv is the sequencer's.
func (s *stream) Recv() (*pontoonpb.SequenceAsk, error) {
	select {
	case data, ok := <-s.asks:
		if !ok {
			return nil, io.EOF
		}
		defer data.Free()
		m := new(pontoonpb.SequenceAsk)
		return m, s.codec.Unmarshal(data, m)
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

// Send is the sequencer's.
func (s *stream) Send(r *pontoonpb.SequenceReply) error {
	data, err := s.codec.Marshal(r)
	if err != nil {
		return err
	}
	select {
	case s.replies <- data:
		return nil
	case <-s.ctx.Done():
		data.Free()
		return s.ctx.Err()
	}
}

// askAll is a node: so many messages, each for count numbers.
func (s *stream) askAll(node uint64, count, messages int64) error {
	defer close(s.asks)
	var last, answered int64
	for i := range messages {
		if i-answered == inFlight {
			if err := s.answer(&last, &answered, count); err != nil {
				return err
			}
		}
		data, err := s.codec.Marshal(&pontoonpb.SequenceAsk{
			Node: node, Boot: node << 32, Sequence: uint64(i + 1), Count: count, Epochs: nobody.Wire(), ClusterId: clusterID,
		})
		if err != nil {
			return err
		}
		s.asks <- data // there is room: less than inFlight are not answered
	}
	for answered < messages {
		if err := s.answer(&last, &answered, count); err != nil {
			return err
		}
	}
	return nil
}

// answer takes one reply and checks it (I2).
func (s *stream) answer(last, answered *int64, count int64) error {
	var data mem.BufferSlice
	select {
	case data = <-s.replies:
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	defer data.Free()
	r := new(pontoonpb.SequenceReply)
	if err := s.codec.Unmarshal(data, r); err != nil {
		return err
	}
	*answered++
	if r.NotLeader || r.Sequence != uint64(*answered) || r.First <= *last {
		return fmt.Errorf("alone: answer %d after revision %d: %v", *answered, *last, r)
	}
	*last = r.First + count - 1
	return nil
}
