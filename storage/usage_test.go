package storage

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// noise does not compress.
func noise(n int) string {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, rand.Uint64())
	}
	return string(b[:n])
}

// Users' data counts as soon as it is committed, and neither the engine's fixed
// costs nor the raft logs do.
func TestUsedCountsWritesAtOnce(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 2, keys.UserSpan)
	if n := e.Used(); n > 1000 {
		t.Fatalf("an empty engine has %d bytes", n)
	}
	before := e.Used()
	for i := range 10 {
		rev := int64(i + 2)
		apply(t, e, 2, put("k", rev, 2, rev-1, noise(4096)))
		if n := e.Used() - before; n < int64(i+1)*4096 || n > int64(i+1)*4200 {
			t.Fatalf("%d bytes after %d values of 4096", n, i+1)
		}
	}
	before = e.Used()
	b := e.NewBatch()
	check(t, b.AppendLog(2, entries(bootTerm, bootIndex+1, bootIndex+100), nil))
	check(t, b.Commit(true))
	apply(t, e, 2, &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Space: pontoonpb.Space_SPACE_SYS, Key: keys.Floor, Value: make([]byte, 1000)})
	if n := e.Used(); n != before {
		t.Errorf("a log and meta records count: %d, before %d", n, before)
	}
}

// A flush moves bytes into tables: they are counted once before and after.
func TestUsedAcrossFlushes(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 2, keys.UserSpan)
	total := int64(0)
	for i := range 40 { // several memtables of 1 MiB
		apply(t, e, 2, put(fmt.Sprintf("k%03d", i), int64(i+2), int64(i+2), 1, noise(100_000)))
		total += 100_000
		if n := e.Used(); n < total*9/10 || n > total*11/10 {
			t.Fatalf("%d bytes after %d", n, total)
		}
	}
	check(t, e.db.Flush())
	check(t, e.measure())
	if n := e.Used(); n < total*9/10 || n > total*11/10 {
		t.Errorf("%d bytes after the flush of %d", n, total)
	}
}

// Used falls once old versions are dropped and the engine was defragmented,
// survives a restart, and InUse is never more than it.
func TestDefragmentGivesBack(t *testing.T) {
	fs := NewMemFS()
	e := openFS(t, fs)
	createRange(t, e, 2, proto.Span{Start: keys.UserSpan.Start, End: user("m")})
	createRange(t, e, 3, proto.Span{Start: user("m"), End: keys.UserSpan.End})
	rev := int64(1)
	for i := range 200 {
		for id, key := range map[proto.RangeID]string{2: "a", 3: "z"} {
			rev++
			apply(t, e, id, put(key, rev, 2, int64(i+1), noise(4096)))
		}
	}
	full := e.Usage()
	if full.Total < 400*4096 || full.InUse > full.Total {
		t.Fatalf("%+v", full)
	}
	d := e.StartDropper(DropperOptions{})
	for _, id := range []proto.RangeID{2, 3} {
		apply(t, e, id, setFloor(rev))
		check(t, <-d.Request(id))
	}
	d.Close()
	check(t, e.Defragment(t.Context()))
	left := e.Usage()
	if left.Total > full.Total/10 || left.InUse > left.Total {
		t.Errorf("%+v left of %+v", left, full)
	}
	v := must(e.NewView())(t)
	for _, key := range []string{"a", "z"} {
		if _, ok, err := v.Get(user("%s", key), Latest); !ok || err != nil {
			t.Errorf("%s is gone: %v", key, err)
		}
	}
	check(t, v.Close())
	check(t, e.Close())
	e = openFS(t, fs)
	if n := e.Used(); n > left.Total+20_000 {
		t.Errorf("%d bytes after a restart, %d before", n, left.Total)
	}
	check(t, e.Close())
}

// Writes and reads go on while a Defragment runs, and its caller may give up.
func TestDefragmentOnline(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 2, keys.UserSpan)
	for i := range 30 {
		apply(t, e, 2, put(fmt.Sprintf("k%d", i), int64(i+2), int64(i+2), 1, noise(100_000)))
	}
	e.defrag <- struct{}{} // one runs
	done := make(chan error, 1)
	go func() { done <- e.Defragment(t.Context()) }()
	apply(t, e, 2, put("during", 100, 100, 1, "v"))
	select {
	case err := <-done:
		t.Fatal("two at a time", err)
	default:
	}
	<-e.defrag
	for i := range 50 {
		apply(t, e, 2, put("during", int64(101+i), 100, int64(2+i), "v"))
	}
	check(t, <-done)
	ver, ok, err := view(t, e).Get(user("during"), Latest)
	if err != nil || !ok || ver.ModRevision != 150 {
		t.Error(ver, ok, err)
	}
}

// Once flushed, too, raft logs do not count: they lie in tables of their own.
func TestUsedLeavesLogsOut(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 2, keys.UserSpan)
	apply(t, e, 2, put("k", 2, 2, 1, noise(10_000)))
	ents := entries(bootTerm, bootIndex+1, bootIndex+50)
	for _, ent := range ents {
		ent.Data = []byte(noise(10_000))
	}
	b := e.NewBatch()
	check(t, b.AppendLog(2, ents, nil))
	check(t, b.Commit(true))
	check(t, e.Defragment(t.Context()))
	if n := e.Used(); n < 10_000 || n > 12_000 {
		t.Errorf("%d bytes of one value of 10000 beside a log of 500000", n)
	}
}
