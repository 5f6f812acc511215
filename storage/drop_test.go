package storage

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// stored returns every version on disk as key@revision, with the sub if there
// is one; tombstones with a -.
func stored(t testing.TB, e *Engine) []string {
	t.Helper()
	v := must(e.NewView())(t)
	defer v.Close()
	all := []string{}
	check(t, v.Changes(keys.UserSpan, 0, Latest-1, func(ver *Version) (bool, error) {
		s := fmt.Sprintf("%s@%d", ver.Key[1:], ver.ModRevision)
		if ver.Sub != 0 {
			s += fmt.Sprintf(".%d", ver.Sub)
		}
		if ver.Tombstone {
			s += "-"
		}
		all = append(all, s)
		return true, nil
	}))
	return all
}

func wantStored(t testing.TB, e *Engine, want ...string) {
	t.Helper()
	if got := stored(t, e); !slices.Equal(got, want) {
		t.Fatalf("stored: %v, want %v", got, want)
	}
}

// history writes a key of each kind around floor 5.
func history(t testing.TB, e *Engine) {
	t.Helper()
	createRange(t, e, 3, keys.UserSpan)
	apply(t, e, 3,
		put("alive", 2, 2, 1, ""), put("alive", 4, 2, 2, ""), put("alive", 7, 2, 3, ""),
		put("at", 3, 3, 1, ""), put("at", 5, 3, 2, ""),
		put("dead", 2, 2, 1, ""), del("dead", 4),
		put("dead-at", 2, 2, 1, ""), del("dead-at", 5),
		put("new", 6, 6, 1, ""),
		put("reborn", 2, 2, 1, ""), del("reborn", 3), put("reborn", 8, 8, 1, ""),
	)
}

// P41: below the floor only the newest version of a live key is kept. A
// tombstone below the floor goes with everything before it; one at the floor
// stays, for watches that start there.
func TestDrop(t *testing.T) {
	e := openMem(t)
	history(t, e)
	d := e.StartDropper(DropperOptions{PerSecond: 1 << 30})
	defer d.Close()
	check(t, <-d.Request(3))
	if n := len(stored(t, e)); n != 13 {
		t.Fatalf("%d versions: dropped before the floor was in the log", n)
	}
	if res := apply(t, e, 3, setFloor(5)); !res.Drop {
		t.Fatal("a raised floor does not ask for dropping")
	}
	check(t, <-d.Request(3))
	kept := []string{"alive@7", "alive@4", "at@5", "dead-at@5-", "new@6", "reborn@8"}
	wantStored(t, e, kept...)

	// A floor never falls.
	if res := apply(t, e, 3, setFloor(4)); res.Drop || e.Log(3).Applied().Floor != 5 {
		t.Fatal(res, e.Log(3).Applied())
	}
	apply(t, e, 3, setFloor(8))
	check(t, <-d.Request(3))
	wantStored(t, e, "alive@7", "at@5", "new@6", "reborn@8")
	if err := <-d.Request(99); !errors.Is(err, ErrRangeNotFound) {
		t.Fatal(err)
	}
}

// at sets the sub of an effect.
func at(sub int64, ef *pontoonpb.Effect) *pontoonpb.Effect {
	ef.Sub = sub
	return ef
}

// P41, P43: what a key changed several times within one revision leaves: at the
// floor all of it, for watches that start there; below it the last change if
// that is live. Hash counts each change above the floor and does not see
// dropping.
func TestDropSeveralChanges(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 3, keys.UserSpan)
	for _, rev := range []int64{4, 5, 6} {
		k := func(name string) string { return fmt.Sprint(name, rev) }
		apply(t, e, 3, put(k("back"), 2, 2, 1, ""), put(k("twice"), 2, 2, 1, ""))
		apply(t, e, 3,
			at(0, del(k("back"), rev)), at(1, del(k("twice"), rev)),
			at(2, put(k("back"), rev, rev, 1, "")), at(3, put(k("twice"), rev, rev, 1, "")), at(4, del(k("twice"), rev)),
			at(5, put(k("gone"), rev, rev, 1, "")), at(6, del(k("gone"), rev)),
		)
	}
	apply(t, e, 3, setFloor(5))
	sums := func() (all []HashResult) {
		for rev := proto.Revision(5); rev < 8; rev++ {
			all = append(all, must(view(t, e).Hash(keys.UserSpan, rev, 5))(t))
		}
		return all
	}
	hash, sum := sums(), checksum(t, e, 3)
	if hash[1].Versions != 4+7 { // back4, back5 and the former back6 and twice6; then each change of 6
		t.Fatal(hash)
	}
	d := e.StartDropper(DropperOptions{PerSecond: 1 << 30})
	defer d.Close()
	check(t, <-d.Request(3))
	wantStored(t, e,
		"back4@4.2", "back5@5.2", "back5@5-", "back6@6.2", "back6@6-", "back6@2",
		"gone5@5.6-", "gone5@5.5", "gone6@6.6-", "gone6@6.5",
		"twice5@5.4-", "twice5@5.3", "twice5@5.1-", "twice6@6.4-", "twice6@6.3", "twice6@6.1-", "twice6@2")
	if got := sums(); !slices.Equal(got, hash) {
		t.Fatalf("hash %v before dropping, %v after", hash, got)
	}
	if got := checksum(t, e, 3); got != sum {
		t.Fatalf("checksum %v before dropping, %v after", sum, got)
	}
}

// P41: an effect below the floor, applied after dropping passed, marks its key
// again.
func TestDropAfterLateEffect(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 3, keys.UserSpan)
	d := e.StartDropper(DropperOptions{PerSecond: 1 << 30})
	defer d.Close()
	apply(t, e, 3, put("a", 2, 2, 1, ""), setFloor(9))
	check(t, <-d.Request(3))
	wantStored(t, e, "a@2")
	if res := apply(t, e, 3, put("a", 7, 2, 2, "")); !res.Drop {
		t.Fatal("an effect below the floor does not ask for dropping")
	}
	wantStored(t, e, "a@7", "a@2")
	check(t, <-d.Request(3))
	wantStored(t, e, "a@7")
}

// A pass goes on where it was, after every step and over a restart, and a
// finished one is not repeated.
func TestDropResumes(t *testing.T) {
	fs := NewMemFS()
	e := openFS(t, fs)
	history(t, e)
	apply(t, e, 3, setFloor(5))
	examined := 0
	for steps := 0; ; steps++ {
		p := must(e.beginDrop(3))(t)
		if p == nil {
			if steps < 4 {
				t.Fatalf("%d steps", steps)
			}
			break
		}
		cost, _, err := p.step(2)
		check(t, err)
		examined += cost.examined
		check(t, e.Close())
		e = openFS(t, fs)
	}
	if examined > 13 {
		t.Fatalf("examined %d versions of 13: passes start over", examined)
	}
	wantStored(t, e, "alive@7", "alive@4", "at@5", "dead-at@5-", "new@6", "reborn@8")
	check(t, e.Close())
}

// I4: whenever a crash comes, no deleted key shows an old value.
func TestDropCrash(t *testing.T) {
	for seed := range uint64(10) {
		fs := NewCrashableMemFS()
		e := openFS(t, fs)
		history(t, e)
		apply(t, e, 3, setFloor(6))
		check(t, e.Sync())
		for {
			p := must(e.beginDrop(3))(t)
			if p == nil {
				break
			}
			_, _, err := p.step(1)
			check(t, err)
			c := openFS(t, fs.CrashClone(50, seed))
			v := must(c.NewView())(t)
			if n := must(v.Count(keys.UserSpan, 6))(t); n != 3 {
				t.Fatalf("%d keys at the floor, want 3: %v", n, stored(t, c))
			}
			check(t, v.Close())
			check(t, c.Close())
		}
		check(t, e.Close())
	}
}

func TestDropperClose(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 3, keys.UserSpan)
	for i := range int64(5000) {
		if i%1000 == 0 {
			apply(t, e, 3, put("a", i+2, 2, i+1, ""), put(fmt.Sprint(i), i+3, i+3, 1, ""))
		}
	}
	apply(t, e, 3, setFloor(5000))
	d := e.StartDropper(DropperOptions{PerSecond: 1})
	d.Close()
	d.Close()
	if err := <-d.Request(3); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

// P43: Hash and Checksum do not see how far dropping came.
func TestHashIgnoresDropping(t *testing.T) {
	a, b := openMem(t), openMem(t)
	for _, e := range []*Engine{a, b} {
		history(t, e)
		apply(t, e, 3, setFloor(5))
	}
	d := b.StartDropper(DropperOptions{PerSecond: 1 << 30})
	defer d.Close()
	check(t, <-d.Request(3))
	if len(stored(t, a)) == len(stored(t, b)) {
		t.Fatal("nothing was dropped")
	}
	for rev := proto.Revision(5); rev < 10; rev++ {
		x, y := must(view(t, a).Hash(keys.UserSpan, rev, 5))(t), must(view(t, b).Hash(keys.UserSpan, rev, 5))(t)
		if x != y {
			t.Fatalf("at %d: %v before dropping, %v after", rev, x, y)
		}
	}
	if x, y := checksum(t, a, 3), checksum(t, b, 3); x != y {
		t.Fatalf("checksum %v before dropping, %v after", x, y)
	}
}

// P43: parts add up, and any difference shows.
func TestHash(t *testing.T) {
	e := openMem(t)
	history(t, e)
	v := view(t, e)
	mid := user("dead")
	whole := must(v.Hash(keys.UserSpan, 8, 4))(t)
	left := must(v.Hash(proto.Span{Start: keys.UserSpan.Start, End: mid}, 8, 4))(t)
	right := must(v.Hash(proto.Span{Start: mid, End: keys.Max}, 8, 4))(t)
	if whole.Hash != left.Hash+right.Hash || whole.Versions != left.Versions+right.Versions {
		t.Fatal(whole, left, right)
	}
	// (4, 8]: alive@7 at@5 dead-at@5- new@6 reborn@8, and alive@4 at@3 dead-at@2.
	if whole.Versions != 8 {
		t.Fatal(whole)
	}
	if at7 := must(v.Hash(keys.UserSpan, 7, 4))(t); at7.Versions != 7 || at7.Hash == whole.Hash {
		t.Fatal(at7, whole)
	}
	before := checksum(t, e, 3)
	leased := put("new", 9, 6, 2, "")
	apply(t, e, 3, leased)
	after := checksum(t, e, 3)
	if before.Sum == after.Sum || after.Index != before.Index+1 {
		t.Fatal(before, after)
	}
}
