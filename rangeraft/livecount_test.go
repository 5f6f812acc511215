package rangeraft

import (
	"math/rand/v2"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// TestLiveCounts_P42 compares the counts with a list of everything ever
// applied, in index order with revisions that are not, at random points.
func TestLiveCounts_P42(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 42))
		c := &liveCounts{}
		c.reset(10, 0)
		var all []countDelta
		rev := proto.Revision(1)
		for index := proto.Index(11); index < 8000; index++ {
			var effects []*pontoonpb.Effect
			var sum int64
			for range rnd.IntN(3) {
				rev++
				at := rev
				if rnd.IntN(10) == 0 {
					at = max(2, rev-proto.Revision(rnd.IntN(20))) // a txn's, applied late
				}
				e := &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_PUT, Rev: int64(at), Fresh: rnd.IntN(3) > 0}
				if rnd.IntN(3) == 0 {
					e.Kind = pontoonpb.EffectKind_EFFECT_DELETE
				}
				effects = append(effects, e)
				n := liveDelta(e)
				sum += n
				all = append(all, countDelta{index, at, n})
			}
			c.applied(index, effects, sum)
			if rnd.IntN(50) > 0 {
				continue
			}
			at, read := index-proto.Index(rnd.IntN(3)), rev-proto.Revision(rnd.IntN(30))
			var want int64
			var bound proto.Revision
			for _, d := range all {
				if d.index > at {
					continue
				}
				bound = max(bound, d.rev)
				if d.rev <= read {
					want += d.n
				}
			}
			got, ok, err := c.at(at, read, func() (proto.Revision, error) { return bound, nil })
			if err != nil || ok && got != want {
				t.Fatalf("seed %d: at index %d, revision %d: %d, want %d (%v)", seed, at, read, got, want, err)
			}
			if !ok && read >= bound {
				t.Fatalf("seed %d: nothing told of the newest state", seed)
			}
		}
		if len(c.deltas) > 2*maxCountDeltas {
			t.Fatalf("%d deltas are kept", len(c.deltas))
		}
	}
}

// TestRecountSeesWhatHappensMeanwhile_P42: what is applied while the view is
// counted is added, and a split overtakes a count.
func TestRecountSeesWhatHappensMeanwhile_P42(t *testing.T) {
	put := []*pontoonpb.Effect{{Kind: pontoonpb.EffectKind_EFFECT_PUT, Rev: 7, Fresh: true}}
	c := &liveCounts{}
	c.reset(10, -1)
	first := c.startRecount()
	if first == nil || c.startRecount() != nil {
		t.Fatal("one recount at a time")
	}
	c.applied(11, put, 1)
	if total, ok := c.finishRecount(first, 5); !ok || total != 6 || c.now() != 6 {
		t.Fatal(total, ok)
	}
	c.reset(12, -1)
	wider := c.startRecount()
	c.reset(13, -1)
	if _, ok := c.finishRecount(wider, 5); ok || c.now() != -1 {
		t.Fatal("a count of the wider span was believed")
	}
	c.reset(14, -1)
	wider = c.startRecount()
	c.reset(15, -1)
	narrower := c.startRecount()
	for _, counted := range []int64{5, -1} {
		if _, ok := c.finishRecount(wider, counted); ok || c.now() != -1 {
			t.Fatal("a count of the wider span was taken for that of the narrower one")
		}
	}
	c.applied(16, put, 1)
	if total, ok := c.finishRecount(narrower, 2); !ok || total != 3 || c.now() != 3 {
		t.Fatal(total, ok)
	}
}
