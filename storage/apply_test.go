package storage

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// P17: events come in the order of the txn, whatever order the effects have.
func TestApplyEvents(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 3, keys.UserSpan)
	a, b := put("a", 2, 2, 1, "x"), put("b", 2, 2, 1, "y")
	a.Sub, b.Sub = 1, 0
	res := apply(t, e, 3, a, b)
	if len(res.Events) != 2 || string(res.Events[0].Event.Kv.Key) != "b" || string(res.Events[1].Event.Kv.Key) != "a" {
		t.Fatal(res.Events)
	}
	v, ok, err := e.Get(user("a"), Latest)
	if !ok || err != nil || v.Sub != 1 {
		t.Fatal(v, ok, err)
	}
	kv := res.Events[1].Event.Kv
	if kv.ModRevision != 2 || kv.CreateRevision != 2 || kv.Version != 1 || string(kv.Value) != "x" {
		t.Fatal(kv)
	}
	if res := apply(t, e, 3, del("a", 3)); res.LiveDelta != -1 || res.Events[0].Event.Kv.ModRevision != 3 || res.Events[0].Event.Kv.CreateRevision != 0 {
		t.Fatal(res)
	}
	if got := e.Log(3).Applied(); got.LiveKeys != 1 || got.Index != bootIndex+2 {
		t.Fatal(got)
	}
}

// An effect that no evaluator makes is refused, and the batch with it.
func TestApplyRefusals(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 3, keys.UserSpan)
	for name, ef := range map[string]*pontoonpb.Effect{
		"no revision":     {Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: user("a")},
		"not a user key":  {Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: keys.Floor, Rev: 2},
		"unknown kind":    {Kind: 99},
		"unknown space":   {Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Key: user("a"), Space: 99},
		"suffix too long": {Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Key: user("a"), Suffix: make([]byte, 255)},
	} {
		b := e.NewBatch()
		next := e.Log(3).Applied()
		if _, err := b.Apply(3, &next, []*pontoonpb.Effect{ef}); err == nil {
			t.Errorf("%s: accepted", name)
		}
		b.Close()
	}
}

func TestLocalRecords(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 3, keys.UserSpan)
	local := func(kind pontoonpb.EffectKind, s pontoonpb.Space, key, suffix, value string) *pontoonpb.Effect {
		return &pontoonpb.Effect{Kind: kind, Space: s, Key: user("%s", key), Suffix: []byte(suffix), Value: []byte(value)}
	}
	const lp, ld = pontoonpb.EffectKind_EFFECT_LOCAL_PUT, pontoonpb.EffectKind_EFFECT_LOCAL_DELETE
	lock, txn := pontoonpb.Space_SPACE_LOCK, pontoonpb.Space_SPACE_TXN
	long := strings.Repeat("s", 254)
	apply(t, e, 3, local(lp, lock, "a", "1", "x"), local(lp, lock, "a", "2", "y"), local(lp, lock, "a", "", "bare"),
		local(lp, lock, "a\x00", long, "z"), local(lp, txn, "a", "1", "other"), local(lp, lock, "c", "1", "out"))
	apply(t, e, 3, local(ld, lock, "a", "2", ""))
	v := view(t, e)
	var got []string
	check(t, v.Local(lock, proto.Span{Start: user("a"), End: user("c")}, func(r LocalRecord) (bool, error) {
		got = append(got, fmt.Sprintf("%q %d %s", r.Key[1:], len(r.Suffix), r.Value))
		return true, nil
	}))
	if want := `["a" 0 bare "a" 1 x "a\x00" 254 z]`; fmt.Sprint(got) != want {
		t.Fatalf("%v, want %s", got, want)
	}
	for _, c := range []struct {
		s           pontoonpb.Space
		suffix, val string
		ok          bool
	}{{lock, "1", "x", true}, {lock, "2", "", false}, {txn, "1", "other", true}, {lock, "", "bare", true}, {lock, long + "s", "", false}} {
		val, ok, err := v.GetLocal(c.s, user("a"), []byte(c.suffix))
		if err != nil || ok != c.ok || string(val) != c.val {
			t.Errorf("%v %q: %q %v %v", c.s, c.suffix, val, ok, err)
		}
	}
}

// P36: a span deletion that a crash cut in its middle and that is applied
// again ends like one that was not, with the same events and count, whatever
// else its entry does to the same keys in the same revision.
func TestDeleteSpanRepeats(t *testing.T) {
	const n = 6000
	const long = 200 // bytes of a key, so that few keys fill a chunk
	fill := func(e *Engine) {
		createRange(t, e, 3, keys.UserSpan)
		var effects []*pontoonpb.Effect
		for i := range int64(n) {
			ef := put(fmt.Sprintf("key-%0*d", long, i), i+2, i+2, 1, "")
			ef.Lease = 1 + i%3
			effects = append(effects, ef)
		}
		apply(t, e, 3, effects...)
		check(t, e.Sync())
	}
	name := func(i int) string { return fmt.Sprintf("key-%0*d", long, i) }
	span := func(sub int64, from, to int) *pontoonpb.Effect {
		return &pontoonpb.Effect{
			Kind: pontoonpb.EffectKind_EFFECT_DELETE_SPAN, Key: user("%s", name(from)), End: user("%s", name(to)), Rev: n + 10, Sub: sub,
		}
	}
	// A key goes before the span, two come back after it, one of them goes again.
	effects := []*pontoonpb.Effect{
		at(4, del(name(150), n+10)),
		span(5, 100, n-100),
		at(n, put(name(200), n+10, n+10, 1, "")),
		at(n+1, put(name(300), n+10, n+10, 1, "")),
		span(n+2, 250, 350),
	}
	effects[0].PrevLease = 1 + 150%3
	clean := openMem(t)
	fill(clean)
	want := apply(t, clean, 3, effects...)
	if len(want.Events) != n-200+3 || want.LiveDelta != -(n-200)+1 || want.Events[7].Sub != 11 {
		t.Fatal(len(want.Events), want.LiveDelta)
	}

	for _, reached := range []int{2, len(effects)} { // the crash comes within a deletion
		fs := NewCrashableMemFS()
		e := must(Open(Options{Dir: "data", FS: fs}))(t)
		fill(e)
		b := e.NewBatch()
		next := e.Log(3).Applied()
		next.Index++
		must(b.Apply(3, &next, effects[:reached]))(t)
		b.Close() // the last chunk and the applied state are lost, the others survive
		check(t, e.Sync())
		crashed := fs.CrashClone(0, 1)
		check(t, e.Close())
		e = must(Open(Options{Dir: "data", FS: crashed}))(t)
		if got := e.Log(3).Applied(); got.Index != bootIndex+1 {
			t.Fatal("the applied state is ahead of its batch", got)
		}
		if got := len(stored(t, e)); got <= n || got >= n+len(want.Events) {
			t.Fatalf("%d versions: the crash did not come in the middle", got)
		}
		got := apply(t, e, 3, effects...)
		if len(got.Events) != len(want.Events) || got.LiveDelta != want.LiveDelta {
			t.Fatal(len(got.Events), got.LiveDelta)
		}
		for i, w := range want.Events {
			if g := got.Events[i]; g.Sub != w.Sub || string(g.Event.Kv.Key) != string(w.Event.Kv.Key) {
				t.Fatalf("event %d: %v, want %v", i, g, w)
			}
		}
		if x, y := checksum(t, e, 3), checksum(t, clean, 3); x != y {
			t.Fatalf("checksum %v, want %v", x, y)
		}
		if a := e.Log(3).Applied(); a.LiveKeys != 201 {
			t.Fatal(a)
		}
		check(t, e.Close())
	}
}

// P45: the right side of a split keeps the term and vote that it promised
// before, honours its tombstone, and is made once.
func TestCreateRange(t *testing.T) {
	fs := NewMemFS()
	e := openFS(t, fs)
	createRange(t, e, 3, keys.UserSpan)
	apply(t, e, 3, put("a", 2, 2, 1, "left"), put("x", 3, 3, 1, "right"))
	appendLog(t, e, 8, nil, newHardState(9, 2, 0)) // a vote for range 8
	if got := must(e.Ranges())(t); len(got) != 1 {
		t.Fatal("a vote made a replica", got)
	}
	check(t, e.Close())
	e = openFS(t, fs)

	left := descriptor(3, proto.Span{Start: keys.UserSpan.Start, End: user("m")})
	right := bootState(8, proto.Span{Start: user("m"), End: keys.Max})
	b := e.NewBatch()
	check(t, b.SetDescriptor(left))
	check(t, b.CreateRange(right, 1))
	check(t, b.Commit(false))
	hs, _, err := e.Log(8).InitialState()
	check(t, err)
	if hs.GetTerm() != 9 || hs.GetVote() != 2 || hs.GetCommit() != bootIndex {
		t.Fatal("the vote was forgotten:", hs)
	}
	b = e.NewBatch()
	if err := b.CreateRange(right, 1); !errors.Is(err, ErrRangeExists) {
		t.Fatal(err)
	}
	b.Close()

	b = e.NewBatch()
	check(t, b.RemoveRange(8, 2))
	check(t, b.Commit(true))
	if _, ok, err := e.Get(user("x"), Latest); ok || err != nil {
		t.Fatal("a removed replica left data", err)
	}
	if v, ok, err := e.Get(user("a"), Latest); !ok || err != nil || string(v.Value) != "left" {
		t.Fatal("removing a replica took its neighbour's data", err)
	}
	b = e.NewBatch()
	defer b.Close()
	if err := b.CreateRange(right, 1); !errors.Is(err, ErrTombstone) {
		t.Fatal(err)
	}
	check(t, b.CreateRange(right, 2))
	check(t, e.Close())
}

// P41: floor and data of a view belong together.
func TestViewIsConsistent(t *testing.T) {
	e := openMem(t)
	history(t, e)
	for name, open := range map[string]func() (*View, error){"short": e.NewView, "long": e.NewLongView} {
		v := must(open())(t)
		before := must(v.Applied(3))(t)
		n := must(v.Count(keys.UserSpan, Latest))(t)
		apply(t, e, 3, put(name, 100, 100, 1, ""), setFloor(int64(before.Floor)+10))
		if got := must(v.Applied(3))(t); got != before {
			t.Errorf("%s: applied state moved: %+v", name, got)
		}
		if got := must(v.Count(keys.UserSpan, Latest))(t); got != n {
			t.Errorf("%s: %d keys, had %d", name, got, n)
		}
		if _, ok, err := v.Get(user("%s", name), Latest); ok || err != nil {
			t.Errorf("%s: sees a later write (%v)", name, err)
		}
		check(t, v.Close())
	}
	if _, err := view(t, e).Applied(99); !errors.Is(err, ErrRangeNotFound) {
		t.Fatal(err)
	}
}

func TestSizes(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 3, keys.UserSpan)
	for i := range int64(200) {
		apply(t, e, 3, put(fmt.Sprintf("key-%03d", i), i+2, i+2, 1, strings.Repeat(fmt.Sprint(i), 500)))
	}
	check(t, e.db.Flush())
	whole, half := must(e.SizeOf(keys.UserSpan))(t), must(e.SizeOf(proto.Span{Start: user("key-100"), End: keys.Max}))(t)
	if whole <= 0 || half >= whole {
		t.Fatal(whole, half)
	}
	if s := e.Sizes(); s.Disk < s.InUse || s.InUse <= 0 {
		t.Fatal(s)
	}
}
