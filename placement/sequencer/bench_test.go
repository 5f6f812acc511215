package sequencer

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const askingNodes = 64

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
