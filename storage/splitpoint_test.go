package storage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// fill writes n keys of random values so that the sizes differ by a factor of
// weight between the first and the second half.
func fill(t *testing.T, e *Engine, n, size, weight int) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		v := make([]byte, size)
		if i >= n/2 {
			v = make([]byte, size*weight)
		}
		for j := range v {
			v[j] = byte(rng.Uint32())
		}
		apply(t, e, proto.UserRange, put(fmt.Sprintf("registry/things/namespace-%02d/name-%05d", i%7, i), int64(i+2), int64(i+2), 1, string(v)))
	}
}

func bytesBefore(t *testing.T, e *Engine, span proto.Span, key []byte) float64 {
	sizes := func(s proto.Span) (n int) {
		v := view(t, e)
		check(t, v.Scan(s, Latest, ScanOptions{}, func(ver *Version) (bool, error) {
			n += len(ver.Key) + len(ver.Value)
			return true, nil
		}))
		return n
	}
	return float64(sizes(proto.Span{Start: span.Start, End: key})) / float64(sizes(span))
}

func TestMiddleKeyHalvesTheBytes(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    int
		flushed bool
	}{
		{"in memory", 1000, false},
		{"flushed", 1000, true},
		{"values in files of their own, more than a scan may read", 20_000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := openMem(t)
			createRange(t, e, proto.UserRange, keys.UserSpan)
			fill(t, e, 600, c.size, 5)
			if c.flushed {
				check(t, e.db.Flush())
			}
			part := proto.Span{Start: user("registry/things/namespace-02"), End: keys.Max}
			for _, span := range []proto.Span{keys.UserSpan, part} {
				key, ok, err := e.MiddleKey(span)
				if err != nil || !ok || !span.Contains(key) {
					t.Fatal(key, ok, err)
				}
				if share := bytesBefore(t, e, span, key); share < 0.4 || share > 0.6 {
					t.Errorf("%q has %.2f of the bytes before it", key, share)
				}
			}
		})
	}
}

// middleFor is what MiddleKey makes of the versions of a span.
func middleFor(t *testing.T, e *Engine, span proto.Span) (*middle, func()) {
	lower, upper := enginekey.Bounds(enginekey.Versions, span)
	total, err := e.db.EstimateDiskUsage(lower, upper)
	check(t, err)
	it := must(e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper}))(t)
	return &middle{e: e, it: it, tag: enginekey.Versions, lower: lower, total: total}, func() { check(t, it.Close()) }
}

// The way by the tables' indexes must agree with the scan.
func TestMiddleKeyByBisection(t *testing.T) {
	e := openMem(t)
	createRange(t, e, proto.UserRange, keys.UserSpan)
	fill(t, e, 3000, separateBytes/4, 3) // in tables, whose indexes then know
	check(t, e.db.Flush())
	m, done := middleFor(t, e, keys.UserSpan)
	defer done()
	key, err := m.bisect()
	check(t, err)
	if share := bytesBefore(t, e, keys.UserSpan, key); share < 0.4 || share > 0.6 {
		t.Errorf("%q has %.2f of the bytes before it", key, share)
	}
}

func TestMiddleKeyOfOneKey(t *testing.T) {
	e := openMem(t)
	createRange(t, e, proto.UserRange, keys.UserSpan)
	if key, ok, err := e.MiddleKey(keys.UserSpan); ok || err != nil {
		t.Fatal(key, err)
	}
	for rev := range int64(20) {
		apply(t, e, proto.UserRange, put("one", rev+2, 2, rev+1, "value"))
	}
	for range 2 {
		if key, ok, err := e.MiddleKey(keys.UserSpan); ok || err != nil {
			t.Fatalf("versions of one key are cut at %q, %v", key, err)
		}
		check(t, e.db.Flush())
	}
	m, done := middleFor(t, e, keys.UserSpan)
	defer done()
	if key, err := m.bisect(); key != nil || err != nil {
		t.Fatalf("bisection cuts one key at %q, %v", key, err)
	}
	apply(t, e, proto.UserRange, put("two", 30, 30, 1, "value"))
	check(t, e.db.Flush())
	if key, ok, err := e.MiddleKey(keys.UserSpan); !ok || err != nil || !bytes.Equal(key, user("two")) {
		t.Fatalf("two keys are cut at %q, %v", key, err)
	}
}

func TestHalfwayLiesBetween(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	draw := func() []byte {
		b := append([]byte{3}, "abc"[:rng.IntN(4)]...)
		for range rng.IntN(4) {
			b = append(b, []byte{0, 1, 'a', 0xff}[rng.IntN(4)])
		}
		return b
	}
	for range 10_000 {
		lo, hi := draw(), draw()
		if bytes.Compare(lo, hi) > 0 {
			lo, hi = hi, lo
		}
		if mid := halfway(lo, hi); bytes.Compare(mid, lo) <= 0 {
			t.Fatalf("%x is not above %x", mid, lo)
		}
	}
}
