package merge

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// gateway is a kernel with parts that end at the given keys, closed at 10.
func gateway(limits Limits, bounds ...string) (*Mux, []*Part) {
	m := New(limits)
	start := keys.UserSpan.Start
	for _, b := range bounds {
		m.AddPart(proto.Span{Start: start, End: keys.User([]byte(b))}, 10)
		start = keys.User([]byte(b))
	}
	m.AddPart(proto.Span{Start: start, End: keys.UserSpan.End}, 10)
	return m, m.Parts()
}

func watch(t *testing.T, m *Mux, g *Group, key, end string) *Watcher {
	t.Helper()
	w, err := m.Create(g, Spec{Key: []byte(key), End: []byte(end)}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if needs, ok := m.Join(w, 10); !ok || len(needs) > 0 || !w.Live() {
		t.Fatalf("not live: %v %v", needs, ok)
	}
	return w
}

func changes(rev proto.Revision, ks ...string) []*Change {
	var cs []*Change
	for i, k := range ks {
		cs = append(cs, NewChange((&simWrite{key: k, rev: rev, sub: int64(i)}).event()))
	}
	return cs
}

func closeAt(m *Mux, p *Part, closed int64) {
	m.Checkpoint(p, &pontoonpb.Checkpoint{Span: p.Span().Wire(), Closed: closed})
}

// told lists what is queued, without the created responses.
func told(m *Mux, g *Group) (out []string) {
	for _, it := range m.Take(g, 1<<20, 1<<30) {
		switch it.Kind {
		case Created:
		case Events:
			s := fmt.Sprint(it.ID, ":")
			for _, c := range it.Changes {
				s += fmt.Sprintf(" %s@%d", c.key(), c.Rev)
			}
			out = append(out, s)
		default:
			out = append(out, fmt.Sprint(it.ID, " kind ", int(it.Kind), " at ", it.Revision))
		}
	}
	return out
}

func expectTold(t *testing.T, m *Mux, g *Group, want ...string) {
	t.Helper()
	if got := told(m, g); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// P22: after a split both sides have to close, each for itself.
func TestUncoveredPartHoldsResolved_P22(t *testing.T) {
	m, ps := gateway(Limits{})
	g := m.NewGroup()
	watch(t, m, g, "a", "z")
	m.Deliver(ps[0], changes(11, "b"))
	sides := m.SplitPart(ps[0], [][]byte{keys.User([]byte("m"))})
	m.Deliver(sides[0], changes(11, "b"))
	closeAt(m, ps[0], 20) // the feed of what is no more
	closeAt(m, sides[0], 20)
	expectTold(t, m, g)
	if w := m.Waiting(); w != 11 {
		t.Fatalf("waiting for %d, want 11", w)
	}
	closeAt(m, sides[1], 15)
	expectTold(t, m, g, "0: b@11")
	if w := m.Waiting(); w != 0 {
		t.Fatalf("waiting for %d", w)
	}
}

// P27: what all parts hold together is bounded too; the one that exceeds it is
// read again from closed.
func TestPendingOfAllParts_P27(t *testing.T) {
	m, ps := gateway(Limits{PendingBytes: 1000}, "m")
	g := m.NewGroup()
	watch(t, m, g, "a", "z")
	m.Deliver(ps[0], changes(11, "a", "b", "c"))
	m.Deliver(ps[1], changes(12, "n", "o", "p"))
	if ps[0].Lossy() || !ps[1].Lossy() {
		t.Fatalf("lossy: %v %v", ps[0].Lossy(), ps[1].Lossy())
	}
	closeAt(m, ps[0], 12)
	closeAt(m, ps[1], 12) // means nothing: events were dropped
	expectTold(t, m, g)
	m.Page(ps[1], changes(12, "n", "o", "p"), 12)
	expectTold(t, m, g, "0: a@11 b@11 c@11", "0: n@12 o@12 p@12")
	if m.pending != 0 {
		t.Fatalf("%d bytes pending", m.pending)
	}
}

// P27: a watcher that would hold more than its limit above resolved is not
// joined: it would spill and read the same again with every event.
func TestJoinRefusesToHoldTooMuch_P27(t *testing.T) {
	m, ps := gateway(Limits{WatcherBytes: 1000, RecentBytes: 1}, "m")
	g := m.NewGroup()
	w := watch(t, m, g, "a", "z")
	for i := range 10 {
		m.Deliver(ps[0], changes(proto.Revision(11+i), "b"))
		closeAt(m, ps[0], int64(11+i))
	}
	if sp := m.Drain().Spilled; len(sp) != 1 || sp[0] != w || w.Next() != 11 {
		t.Fatalf("spilled %v next %d", sp, w.Next())
	}
	needs, ok := m.Join(w, 20)
	if !ok || len(needs) != 1 || needs[0].From != 11 || needs[0].To != 20 {
		t.Fatalf("needs %v", needs)
	}
	var hist []*Change
	for i := range 10 {
		hist = append(hist, changes(proto.Revision(11+i), "b")...)
	}
	if m.Finish(w, hist, 20) || w.Joined() {
		t.Fatal("joined with too much to hold")
	}
	closeAt(m, ps[1], 20)
	if !m.Bulk(w, hist, 20, 20) {
		t.Fatal("no room")
	}
	if _, ok := m.Join(w, 20); !ok || !w.Live() {
		t.Fatal("not live after the other range closed")
	}
	if got := told(m, g); len(got) != 1 {
		t.Fatalf("got %q", got)
	}
}

// A watcher that starts in the past gets history under the current revision;
// live events that are older than that do not take its header back.
func TestHeadersNeverGoBack(t *testing.T) {
	m, ps := gateway(Limits{})
	g := m.NewGroup()
	w, err := m.Create(g, Spec{Key: []byte("a"), End: []byte("z"), Start: 9}, 20)
	if err != nil {
		t.Fatal(err)
	}
	if needs, ok := m.Join(w, 20); !ok || len(needs) != 1 || !m.Finish(w, changes(9, "b"), 20) {
		t.Fatalf("not live: %v %v", needs, ok)
	}
	var headers []proto.Revision
	for _, rev := range []proto.Revision{15, 21} {
		m.Deliver(ps[0], changes(rev, "c"))
		closeAt(m, ps[0], int64(rev))
	}
	for _, it := range m.Take(g, 1<<20, 1<<30) {
		if it.Kind == Events {
			headers = append(headers, it.Revision)
		}
	}
	if !slices.Equal(headers, []proto.Revision{20, 20, 21}) {
		t.Fatalf("headers %v", headers)
	}
}

// P26, quirk 33: when a progress request is silent.
func TestSilentProgress_P26(t *testing.T) {
	m, _ := gateway(Limits{})
	g := m.NewGroup()
	if m.AskProgress(g, 10) {
		t.Error("answered without watchers")
	}
	w := watch(t, m, g, "a", "")
	if !m.AskProgress(g, 10) {
		t.Error("silent")
	}
	expectTold(t, m, g, "-1 kind 5 at 10")
	future, _ := m.Create(g, Spec{Key: []byte("a"), Start: 12}, 10)
	m.Join(future, 10)
	if m.AskProgress(g, 11) {
		t.Error("answered below a start in the future")
	}
	if !m.AskProgress(g, 12) {
		t.Error("silent at the start")
	}
	m.Cancel(g, future.ID, 12)
	past, _ := m.Create(g, Spec{Key: []byte("a"), Start: 3}, 10)
	if m.AskProgress(g, 12) {
		t.Error("answered while a watcher catches up")
	}
	m.Compact(past, 5)
	if m.AskProgress(g, 12) {
		t.Error("answered while a compacted watcher is not canceled")
	}
	m.Cancel(g, past.ID, 12)
	if !m.AskProgress(g, 12) || w.Over() {
		t.Error("silent")
	}
}

// The gateway fell behind the floor: watchers that wanted what is gone are
// ended with it, those that start above go on (quirk 29).
func TestCompactedPart(t *testing.T) {
	m, ps := gateway(Limits{}, "m")
	g := m.NewGroup()
	watch(t, m, g, "a", "z")
	watch(t, m, g, "n", "")
	late, _ := m.Create(g, Spec{Key: []byte("a"), Start: 50}, 10)
	m.Join(late, 10)
	m.Compacted(ps[0], 40)
	expectTold(t, m, g, "0 kind 3 at 40")
	if from := m.Drop(ps[0]); from != 40 {
		t.Fatalf("next feed from %d", from)
	}
	m.Deliver(ps[0], changes(51, "a"))
	closeAt(m, ps[0], 60)
	expectTold(t, m, g, "2: a@51")
}

// The index finds exactly the watchers of a key, whatever came and went.
func TestIndexAgainstScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	key := func() []byte {
		k := make([]byte, 1+rng.IntN(2))
		for i := range k {
			k[i] = byte('a' + rng.IntN(6))
		}
		return k
	}
	var x index
	var all []*Watcher
	for i := range 4000 {
		if rng.IntN(3) > 0 || len(all) == 0 {
			w := &Watcher{seq: uint64(i), key: key()}
			switch rng.IntN(4) {
			case 0:
				w.point = true
			case 1: // open
			default:
				if w.end = key(); bytes.Compare(w.key, w.end) >= 0 {
					w.end = append(bytes.Clone(w.key), 'x')
				}
			}
			x.add(w)
			all = append(all, w)
		} else {
			j := rng.IntN(len(all))
			x.remove(all[j])
			all = slices.Delete(all, j, j+1)
		}
		k := key()
		got := x.match(k, nil)
		want := 0
		for _, w := range all {
			if w.watches(k) {
				want++
				if !slices.Contains(got, w) {
					t.Fatalf("step %d: %q misses [%q,%q)", i, k, w.key, w.end)
				}
			}
		}
		if len(got) != want {
			t.Fatalf("step %d: %q matches %d, want %d", i, k, len(got), want)
		}
	}
}

// I2, P24: a joined part remembers no further back than either of the two did:
// a watcher from before that reads history.
func TestJoinedPartRemembersWhatBothDid_I2(t *testing.T) {
	m, ps := gateway(Limits{})
	left := m.SplitPart(ps[0], [][]byte{keys.User([]byte("m"))})
	m.RemovePart(left[1])
	m.Deliver(left[0], changes(12, "a"))
	closeAt(m, left[0], 14)
	right := m.AddPart(left[1].Span(), 14) // began after 12
	if m.JoinParts(right, left[0]) != nil {
		t.Fatal("joined in the wrong order")
	}
	j := m.JoinParts(left[0], right)
	if j == nil || !left[0].Removed() || !right.Removed() || j.Closed() != 14 || len(m.Parts()) != 1 {
		t.Fatalf("joined: %v", j)
	}
	w, err := m.Create(m.NewGroup(), Spec{Key: []byte("a"), End: []byte("z"), Start: 12}, 14)
	if err != nil {
		t.Fatal(err)
	}
	if needs, ok := m.Join(w, 14); !ok || len(needs) != 1 || needs[0].From != 12 || needs[0].To != 14 {
		t.Fatalf("needs %v", needs)
	}
}

// I2: what a joined part forgets first may be older than what one of the two had
// forgotten before.
func TestJoinedPartForgetsNoFurtherBack_I2(t *testing.T) {
	m, ps := gateway(Limits{RecentBytes: 1000}, "m")
	large := changes(16, "a")
	large[0].Event.Kv.Value = bytes.Repeat([]byte("x"), 700)
	for rev := int64(11); rev <= 15; rev++ {
		m.Deliver(ps[1], changes(proto.Revision(rev), "x"))
	}
	m.Deliver(ps[0], large)
	m.Deliver(ps[0], changes(17, "b")) // together too much: forgets 16
	closeAt(m, ps[0], 20)
	closeAt(m, ps[1], 20)
	j := m.JoinParts(ps[0], ps[1])
	m.Deliver(j, changes(21, "b")) // forgets 11 to 15
	closeAt(m, j, 21)
	w, err := m.Create(m.NewGroup(), Spec{Key: []byte("a"), End: []byte("m"), Start: 16}, 21)
	if err != nil {
		t.Fatal(err)
	}
	if needs, ok := m.Join(w, 21); !ok || len(needs) != 1 || needs[0].From != 16 {
		t.Fatalf("needs %v", needs)
	}
}

// A client that does not read gets no more notices: what waits for it is bounded.
func TestNoticesAreBounded(t *testing.T) {
	m, ps := gateway(Limits{GroupBytes: 1000})
	g := m.NewGroup()
	w, err := m.Create(g, Spec{Key: []byte("a"), Progress: true}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Join(w, 10); !ok {
		t.Fatal("not live")
	}
	for i := range int64(1000) {
		closeAt(m, ps[0], 11+i)
		m.TickProgress(g, proto.Revision(11+i))
	}
	if n := g.Backlog(); n == 0 || n > 2000 {
		t.Fatalf("%d bytes wait", n)
	}
}
