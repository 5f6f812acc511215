package rangeraft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// However changes lie among the keys, what is kept on the way are the first of all of
// them, whole revisions, and never much more than was asked for.
func TestFirstChanges(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var all []*pontoonpb.ChangeEvent
		n := 1 + rng.IntN(2000)
		revisions := 1 + rng.IntN(n)
		for i := range n {
			all = append(all, &pontoonpb.ChangeEvent{Sub: int64(i), Event: &mvccpb.Event{Kv: &mvccpb.KeyValue{
				Key: fmt.Appendf(nil, "%06d", i), Value: make([]byte, rng.IntN(100)), ModRevision: 1 + rng.Int64N(int64(revisions))}}})
		}
		maxBytes := rng.Int64N(20000)
		to := int64(revisions)
		want, covered := wholeRevisions(slices.Clone(all), maxBytes, to)
		h := firstChanges{maxBytes: maxBytes, covered: to}
		for _, e := range all {
			if e.Event.Kv.ModRevision <= h.covered {
				h.add(e)
			}
			if largest := int64(100 * 200); maxBytes > 0 && revisions > n/10 && h.bytes > 2*maxBytes+largest {
				t.Fatalf("seed %d: %d bytes are kept of %d", seed, h.bytes, maxBytes)
			}
		}
		got, upTo := h.first()
		if !slices.Equal(got, want) || upTo != covered {
			t.Fatalf("seed %d: %d changes up to %d, not %d up to %d", seed, len(got), upTo, len(want), covered)
		}
	}
}

// A revision with many changes is kept whole, and its changes are not sorted anew for
// each of them.
func TestFirstChangesOfOneRevision(t *testing.T) {
	h := firstChanges{maxBytes: 100, covered: 9}
	const n = 200_000
	for i := range int64(n) {
		h.add(&pontoonpb.ChangeEvent{Sub: n - i, Event: &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte("k"), ModRevision: 5}}})
	}
	events, covered := h.first()
	if len(events) != n || covered != 9 || events[0].Sub != 1 {
		t.Errorf("%d changes up to %d", len(events), covered)
	}
}
