package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dgraph-io/ristretto/v2"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

const benchKeys = 100_000

// benchEngine holds benchKeys keys of 256 bytes on disk, two versions each.
func benchEngine(b *testing.B) *Engine {
	b.Helper()
	e := must(Open(Options{Dir: b.TempDir()}))(b)
	b.Cleanup(func() { check(b, e.Close()) })
	createRange(b, e, proto.UserRange, keys.UserSpan)
	value := string(make([]byte, 256))
	rev := int64(1)
	for v := int64(1); v <= 2; v++ {
		for i := 0; i < benchKeys; i += 1000 {
			var effects []*pontoonpb.Effect
			for k := i; k < i+1000; k++ {
				rev++
				create := rev
				if v == 2 {
					create = rev - benchKeys
				}
				effects = append(effects, put(benchKey(k), rev, create, v, value))
			}
			apply(b, e, proto.UserRange, effects...)
		}
	}
	check(b, e.db.Flush())
	check(b, e.db.Compact(context.Background(), []byte{0}, []byte{0xff, 0}, false))
	b.ResetTimer()
	return e
}

func benchKey(i int) string { return fmt.Sprintf("/registry/pods/default/pod-%08d", i) }

// anyKeys returns internal keys in random order.
func anyKeys(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 1))
	ks := make([][]byte, n)
	for i := range ks {
		ks[i] = user("%s", benchKey(r.IntN(benchKeys)))
	}
	return ks
}

func BenchmarkGet(b *testing.B) {
	e := benchEngine(b)
	ks := anyKeys(1 << 12)
	b.Run("view", func(b *testing.B) {
		v := view(b, e)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, ok, err := v.Get(ks[i%len(ks)], Latest); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("engine", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, ok, err := e.Get(ks[i%len(ks)], Latest); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("absent", func(b *testing.B) {
		v := view(b, e)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, ok, err := v.Get(append(ks[i%len(ks)], 'x'), Latest); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}

// BenchmarkGetCached answers the gets of BenchmarkGet/view from a cache of
// latest versions that never misses. What it saves is all that such a cache
// could save; see doc.go for why there is none.
func BenchmarkGetCached(b *testing.B) {
	e := benchEngine(b)
	ks := anyKeys(1 << 12)
	cache := must(ristretto.NewCache(&ristretto.Config[[]byte, *Version]{
		NumCounters: benchKeys * 10, MaxCost: 64 << 20, BufferItems: 64,
	}))(b)
	defer cache.Close()
	v := view(b, e)
	for _, k := range ks {
		ver, ok, err := v.Get(k, Latest)
		if !ok || err != nil {
			b.Fatal(ok, err)
		}
		cache.Set(k, &ver, int64(len(k)+len(ver.Value)+64))
		cache.Wait()
	}
	hits := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if ver, ok := cache.Get(ks[i%len(ks)]); ok && len(ver.Value) > 0 {
			hits++
		}
	}
	if hits < b.N*9/10 {
		b.Fatalf("%d hits of %d", hits, b.N)
	}
}

// BenchmarkApplyCached is BenchmarkApply/16 that also keeps such a cache
// current.
func BenchmarkApplyCached(b *testing.B) {
	e := must(Open(Options{Dir: b.TempDir()}))(b)
	defer e.Close()
	createRange(b, e, proto.UserRange, keys.UserSpan)
	cache := must(ristretto.NewCache(&ristretto.Config[[]byte, *Version]{
		NumCounters: benchKeys * 10, MaxCost: 64 << 20, BufferItems: 64,
	}))(b)
	defer cache.Close()
	value := string(make([]byte, 256))
	rev := int64(1)
	b.ReportAllocs()
	for b.Loop() {
		effects := make([]*pontoonpb.Effect, 16)
		for i := range effects {
			rev++
			effects[i] = put(benchKey(int(rev)%benchKeys), rev, rev, 1, value)
			cache.Set(effects[i].Key, &Version{Key: effects[i].Key, Value: effects[i].Value}, 400)
		}
		apply(b, e, proto.UserRange, effects...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*16), "ns/effect")
}

func BenchmarkScan(b *testing.B) {
	e := benchEngine(b)
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v := view(b, e)
			span := proto.Span{Start: user("%s", benchKey(5000)), End: user("%s", benchKey(5000+n))}
			for b.Loop() {
				got := 0
				check(b, v.Scan(span, Latest, ScanOptions{}, func(*Version) (bool, error) { got++; return true, nil }))
				if got != n {
					b.Fatal(got)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
	}
}

// BenchmarkChanges catches up over the newest revisions of a large store: the
// block filter makes its cost that of the changes, not of the store.
func BenchmarkChanges(b *testing.B) {
	e := benchEngine(b)
	v := view(b, e)
	for b.Loop() {
		got := 0
		from := proto.Revision(2*benchKeys + 2 - 100)
		check(b, v.Changes(keys.UserSpan, from, Latest-1, func(*Version) (bool, error) { got++; return true, nil }))
		if got != 100 {
			b.Fatal(got)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := must(Open(Options{Dir: b.TempDir()}))(b)
			defer e.Close()
			createRange(b, e, proto.UserRange, keys.UserSpan)
			value := string(make([]byte, 256))
			rev := int64(1)
			b.ReportAllocs()
			for b.Loop() {
				effects := make([]*pontoonpb.Effect, n)
				for i := range effects {
					rev++
					effects[i] = put(benchKey(int(rev)%benchKeys), rev, rev, 1, value)
				}
				apply(b, e, proto.UserRange, effects...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/effect")
		})
	}
}

// BenchmarkAppendLog appends an entry to each of many ranges with one sync.
func BenchmarkAppendLog(b *testing.B) {
	for _, ranges := range []int{1, 64} {
		b.Run(fmt.Sprint(ranges), func(b *testing.B) {
			e := must(Open(Options{Dir: b.TempDir()}))(b)
			defer e.Close()
			ents := make([][]*raftpb.Entry, ranges)
			index := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				index++
				batch := e.NewBatch()
				for r := range ents {
					check(b, batch.AppendLog(proto.RangeID(r+1), entries(6, index, index), newHardState(6, 1, index-1)))
				}
				check(b, batch.Commit(true))
			}
		})
	}
}
