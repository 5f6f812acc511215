package alone

import (
	"fmt"
	"testing"
)

func TestMeasure(t *testing.T) {
	got, err := Measure(t.Context(), Load{Nodes: 64, Folded: 4, Messages: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if got.Messages != 1000 || got.Revisions != 4000 || got.PerSecond() <= 0 {
		t.Errorf("%+v", got)
	}
	if _, err := Measure(t.Context(), Load{Nodes: 64, Folded: 0, Messages: 1000}); err == nil {
		t.Error("nothing was folded, and that was measured")
	}
}

// BenchmarkSequencer: how many revisions a second one core hands out to 64
// nodes that always ask, which encodes and decodes on both sides. One operation
// is one message; folded is how many writes of a node it speaks for.
func BenchmarkSequencer(b *testing.B) {
	for _, folded := range []int64{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("folded=%d", folded), func(b *testing.B) {
			b.ReportAllocs()
			rate, err := Measure(b.Context(), Load{Nodes: 64, Folded: folded, Messages: int64(b.N)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(rate.PerSecond(), "revisions/s")
		})
	}
}
