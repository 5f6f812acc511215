package sequencer

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	askingNodes = 64
	// benchInFlight is how many messages of a node may be unanswered, as in
	// package client.
	benchInFlight = 2
)

// applied is a root range that is never slow: a limit is applied when it is
// written.
type applied struct{ server *Server }

func (a *applied) Persist(_ context.Context, _, next proto.Revision) error {
	a.server.Applied(next, none)
	return nil
}

// wire is one node's stream without a network: messages cross it encoded, by
// the codec that gRPC takes.
type wire struct {
	grpc.ServerStream
	ctx       context.Context
	codec     encoding.CodecV2
	asks      chan mem.BufferSlice
	replies   chan mem.BufferSlice
	exhausted error
}

func (w *wire) Context() context.Context { return w.ctx }

func (w *wire) Recv() (*pontoonpb.SequenceAsk, error) {
	select {
	case data, ok := <-w.asks:
		if !ok {
			return nil, w.exhausted
		}
		defer data.Free()
		m := new(pontoonpb.SequenceAsk)
		return m, w.codec.Unmarshal(data, m)
	case <-w.ctx.Done():
		return nil, w.ctx.Err()
	}
}

func (w *wire) Send(r *pontoonpb.SequenceReply) error {
	data, err := w.codec.Marshal(r)
	if err != nil {
		return err
	}
	w.replies <- data
	return nil
}

// askAll makes a node send so many messages, each for count numbers. It checks
// that the answers come in order and what they grant rises.
func (w *wire) askAll(b *testing.B, node uint64, count, messages int64) {
	defer close(w.asks)
	var last, answered int64
	answer := func() {
		data := <-w.replies
		defer data.Free()
		r := new(pontoonpb.SequenceReply)
		if err := w.codec.Unmarshal(data, r); err != nil {
			b.Error(err)
		}
		answered++
		if r.NotLeader || r.Sequence != uint64(answered) || r.First <= last {
			b.Errorf("answer %d after %d: %v", answered, last, r)
		}
		last = r.First + count - 1
	}
	for i := range messages {
		if i-answered == benchInFlight {
			answer()
		}
		data, err := w.codec.Marshal(&pontoonpb.SequenceAsk{
			Node: node, Boot: node << 32, Sequence: uint64(i + 1), Count: count, Epochs: none.Wire(), ClusterId: 1 << 60,
		})
		if err != nil {
			b.Error(err)
			return
		}
		w.asks <- data
	}
	for answered < messages {
		answer()
	}
}

// BenchmarkSequencer: how many revisions a second one core hands out to 64
// nodes that always ask, which encodes and decodes on both sides. One operation
// is one ask; folded is how many writes of a node an ask speaks for.
func BenchmarkSequencer(b *testing.B) {
	for _, folded := range []int64{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("folded=%d", folded), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			limits := &applied{}
			server := NewServer(Options{ClusterID: 1 << 60, Limits: limits})
			limits.server = server
			server.Start()
			defer server.Close()
			server.Gained(1, func(context.Context) error { return nil }, 0, none)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			asks := int64(0)
			for i := range int64(askingNodes) {
				messages := (int64(b.N) + i) / askingNodes
				if messages == 0 {
					continue
				}
				asks += messages
				w := &wire{
					ctx: b.Context(), codec: encoding.GetCodecV2(protocodec.Name), exhausted: context.Canceled,
					asks: make(chan mem.BufferSlice, benchInFlight), replies: make(chan mem.BufferSlice, benchInFlight),
				}
				wg.Go(func() { w.askAll(b, uint64(i+1), folded, messages) })
				wg.Go(func() { _ = server.Sequence(w) }) // ends with the asks
			}
			wg.Wait()
			b.ReportMetric(float64(asks*folded)/b.Elapsed().Seconds(), "revisions/s")
		})
	}
}

// BenchmarkKernel: the state machine alone.
func BenchmarkKernel(b *testing.B) {
	now := time.Unix(1000, 0)
	var k Kernel
	out := k.Gained(now, 1, 0, none)
	asks := make([]*pontoonpb.SequenceAsk, askingNodes)
	for i := range asks {
		asks[i] = &pontoonpb.SequenceAsk{Node: uint64(i + 1), Boot: 1, Count: 1, Epochs: none.Wire()}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Microsecond)
		if out.Next != 0 {
			out = k.LimitApplied(now, out.Next)
		}
		ask := asks[i%askingNodes]
		ask.Sequence++
		out = k.Ask(now, Ticket(i), ask)
	}
}
