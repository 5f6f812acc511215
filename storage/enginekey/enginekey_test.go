package enginekey_test

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// Internal keys that start each other must keep their order and never mix
// their versions (I1, I2).
func TestVersionOrder(t *testing.T) {
	keys := [][]byte{{3}, {3, 0}, {3, 0, 0}, {3, 0, 9}, {3, 9}, []byte("\x03a"), []byte("\x03a\x00"), []byte("\x03ab"), {3, 0xff}, {3, 0xff, 0xff}}
	revs := []proto.Revision{math.MaxInt64, 1 << 40, 256, 255, 2, 1}
	var want [][]byte
	for _, k := range keys {
		want = append(want, enginekey.Append(nil, enginekey.Versions, k))
		for _, r := range revs {
			for _, sub := range []int64{enginekey.MaxSub, 256, 255, 1, 0} {
				want = append(want, enginekey.AppendVersion(nil, k, r, sub))
			}
		}
	}
	got := slices.Clone(want)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
	slices.SortFunc(got, enginekey.Compare)
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("at %d: %x, want %x", i, got[i], want[i])
		}
	}
}

func TestRangeRecords(t *testing.T) {
	for _, id := range []proto.RangeID{0, 1, 255, 256, math.MaxUint64} {
		k := enginekey.AppendLog(nil, id, 77)
		gotID, rec, suffix, ok := enginekey.DecodeRange(k)
		n, _ := enginekey.Number(suffix)
		if !ok || gotID != id || rec != enginekey.Log || n != 77 {
			t.Fatalf("range %d: %d %d %d %v", id, gotID, rec, n, ok)
		}
		lower, upper := enginekey.LogBounds(id, 77)
		if enginekey.Compare(lower, k) > 0 || enginekey.Compare(k, upper) >= 0 || enginekey.Compare(upper, enginekey.RangeEnd(id)) > 0 {
			t.Fatalf("range %d: entry outside of its bounds", id)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(enginekey.AppendVersion(nil, []byte("\x03key"), 7, 2))
	f.Add(enginekey.AppendSuffixed(nil, enginekey.Lock, []byte("\x03k"), []byte("txn")))
	f.Add([]byte{0x20, 0})
	f.Fuzz(func(t *testing.T, k []byte) {
		if enginekey.Validate(k) != nil {
			return
		}
		tag, key, suffix, ok := enginekey.Decode(k)
		if ok && (len(k) == 0 || k[len(k)-1] != 1) { // a length of 1 is an empty suffix written long
			if again := enginekey.AppendSuffixed(nil, tag, key, suffix); !bytes.Equal(again, k) {
				t.Fatalf("%x decodes to what encodes as %x", k, again)
			}
		}
		if enginekey.Compare(k, k) != 0 {
			t.Fatal("a key differs from itself")
		}
		if s := enginekey.Successor(nil, k); enginekey.Compare(k, s) > 0 || enginekey.Validate(s) != nil {
			t.Fatalf("successor %x of %x", s, k)
		}
	})
}

func FuzzOrder(f *testing.F) {
	f.Add([]byte("\x03a"), []byte("\x03b"), int64(1), int64(2), uint32(3), uint32(0))
	f.Add([]byte("\x03a"), []byte("\x03a\x00"), int64(5), int64(5), uint32(1), uint32(1))
	f.Add([]byte("\x03a"), []byte("\x03a"), int64(5), int64(5), uint32(1), uint32(256))
	f.Fuzz(func(t *testing.T, a, b []byte, ra, rb int64, sa, sb uint32) {
		if ra < 0 || rb < 0 {
			return
		}
		ka := enginekey.AppendVersion(nil, a, proto.Revision(ra), int64(sa))
		kb := enginekey.AppendVersion(nil, b, proto.Revision(rb), int64(sb))
		want := cmp.Or(bytes.Compare(a, b), cmp.Compare(rb, ra), cmp.Compare(sb, sa))
		if got := enginekey.Compare(ka, kb); got != want {
			t.Fatalf("Compare = %d, want %d", got, want)
		}
		if x, y := enginekey.Abbreviate(ka), enginekey.Abbreviate(kb); x < y && want >= 0 || x > y && want <= 0 {
			t.Fatal("abbreviation disagrees")
		}
		if want < 0 {
			s := enginekey.Separator(nil, ka, kb)
			if enginekey.Compare(ka, s) > 0 || enginekey.Compare(s, kb) >= 0 || enginekey.Validate(s) != nil {
				t.Fatalf("separator %x of %x and %x", s, ka, kb)
			}
		}
	})
}

func TestPosition(t *testing.T) {
	k := enginekey.AppendVersion(nil, []byte("\x03key"), math.MaxInt64, enginekey.MaxSub)
	if len(k) != enginekey.VersionLen([]byte("\x03key")) {
		t.Fatalf("%d bytes", len(k))
	}
	_, key, suffix, ok := enginekey.Decode(k)
	rev, sub, okPos := enginekey.Position(suffix)
	if !ok || !okPos || string(key) != "\x03key" || rev != math.MaxInt64 || sub != enginekey.MaxSub {
		t.Fatal(key, rev, sub, ok, okPos)
	}
	if _, _, ok := enginekey.Position(suffix[:8]); ok {
		t.Fatal("a revision without a sub is a position")
	}
}
