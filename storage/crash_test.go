package storage

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// crashRun is what a run before the crash had promised.
type crashRun struct {
	synced  uint64 // highest index whose append was synced
	applied proto.Index
}

// drive appends and applies as raft's storage threads do, appends synced and
// applies not, crashing at a random moment of its own choosing.
func drive(t *testing.T, e *Engine, r *rand.Rand, run *crashRun, steps int) {
	l := e.Log(3)
	for range steps {
		last := must(l.LastIndex())(t)
		switch n := r.IntN(10); {
		case n < 5:
			sync := r.IntN(3) > 0
			to := last + 1 + uint64(r.IntN(5))
			b := e.NewBatch()
			check(t, b.AppendLog(3, entries(6, last+1, to), newHardState(6, 1, last)))
			check(t, b.Commit(sync))
			if sync {
				run.synced = to
			}
		case n < 8:
			// Only what is durable may be applied.
			next := l.Applied()
			if uint64(next.Index) >= run.synced {
				continue
			}
			next.Index, next.Term = next.Index+1, 6
			b := e.NewBatch()
			rev := int64(next.Index)
			must(b.Apply(3, &next, effectsOf(rev)))(t)
			check(t, b.Commit(false))
			run.applied = next.Index
		case n < 9:
			if at := l.Applied().Index; at > bootIndex+3 {
				b := e.NewBatch()
				check(t, b.TruncateLog(3, at-2, 6))
				check(t, b.Commit(false))
			}
		default:
			if r.IntN(4) == 0 {
				check(t, e.db.Flush())
			}
		}
	}
}

// After a crash at any point the synced part of the log is there, the applied
// state is not ahead of it, and the data is exactly what the applied state
// says (I1, P12, P47).
func TestCrash(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 5))
			fs := NewCrashableMemFS()
			e := openFS(t, fs)
			createRange(t, e, 3, keys.UserSpan)
			run := crashRun{synced: bootIndex, applied: bootIndex}
			for range 3 {
				drive(t, e, r, &run, 20+r.IntN(60))
				crashed := fs.CrashClone([]int{0, 50, 100}[r.IntN(3)], seed)
				check(t, e.Close())
				fs = crashed
				e = openFS(t, fs)
				checkCrash(t, e, &run)
			}
			check(t, e.Close())
		})
	}
}

func checkCrash(t *testing.T, e *Engine, run *crashRun) {
	t.Helper()
	l := e.Log(3)
	last := must(l.LastIndex())(t)
	applied := l.Applied()
	if last < run.synced {
		t.Fatalf("log ends at %d, %d was synced", last, run.synced)
	}
	if uint64(applied.Index) > last || applied.Index > run.applied {
		t.Fatalf("applied %d is ahead of the log's end %d or of what was applied %d", applied.Index, last, run.applied)
	}
	first := must(l.FirstIndex())(t)
	if first > uint64(applied.Index)+1 {
		t.Fatalf("log starts at %d, applied is %d: entries are lost", first, applied.Index)
	}
	ents := must(l.Entries(first, last+1, 1<<40))(t)
	if len(ents) != int(last+1-first) {
		t.Fatalf("%d entries in [%d, %d]", len(ents), first, last)
	}
	hs, _, err := l.InitialState()
	check(t, err)
	if hs.GetCommit() < uint64(applied.Index) {
		t.Fatalf("commit %d is below applied %d", hs.GetCommit(), applied.Index)
	}
	v := must(e.NewView())(t)
	defer v.Close()
	if n := must(v.Count(keys.UserSpan, Latest))(t); n != applied.LiveKeys {
		t.Fatalf("%d keys, applied state says %d", n, applied.LiveKeys)
	}
	for i := int64(bootIndex + 1); i <= int64(run.applied)+1; i++ {
		_, ok, err := v.Get(user("key-%d", i), Latest)
		check(t, err)
		if ok != (i <= int64(applied.Index)) {
			t.Fatalf("key of entry %d there: %v, applied is %d", i, ok, applied.Index)
		}
	}
	run.synced, run.applied = last, applied.Index
}
