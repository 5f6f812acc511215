package storage

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// model is the naive truth: every version ever written.
type model struct {
	versions map[string][]Version // by key, oldest first
	floor    proto.Revision
	rev      proto.Revision
}

func (m *model) newest(key string, rev proto.Revision) (Version, bool) {
	for _, v := range slices.Backward(m.versions[key]) {
		if v.ModRevision <= rev {
			return v, !v.Tombstone
		}
	}
	return Version{}, false
}

func (m *model) keys(span proto.Span) []string {
	var ks []string
	for k := range m.versions {
		if span.Contains([]byte(k)) {
			ks = append(ks, k)
		}
	}
	slices.Sort(ks)
	return ks
}

func (m *model) live(span proto.Span, rev proto.Revision) (vs []Version) {
	for _, k := range m.keys(span) {
		if v, ok := m.newest(k, rev); ok {
			vs = append(vs, v)
		}
	}
	return vs
}

func (m *model) changes(span proto.Span, from, to proto.Revision) (vs []Version) {
	for _, k := range m.keys(span) {
		for _, v := range slices.Backward(m.versions[k]) {
			if from <= v.ModRevision && v.ModRevision <= to {
				vs = append(vs, v)
			}
		}
	}
	return vs
}

// machine drives an engine and the model through the same steps.
type machine struct {
	t    *testing.T
	r    *rand.Rand
	fs   *FS
	e    *Engine
	drop *Dropper
	m    model
	next proto.RangeID
}

func (x *machine) open() {
	x.e = openFS(x.t, x.fs)
	x.drop = x.e.StartDropper(DropperOptions{PerSecond: 1 << 30})
}

func (x *machine) close() {
	x.drop.Close()
	check(x.t, x.e.Close())
}

// rangeOf returns the range that holds key.
func (x *machine) rangeOf(key []byte) RangeState {
	for _, s := range must(x.e.Ranges())(x.t) {
		if s.Span().Contains(key) {
			return s
		}
	}
	x.t.Fatalf("no range holds %x", key)
	return RangeState{}
}

func (x *machine) anyKey() []byte {
	k := fmt.Appendf(nil, "%c", 'a'+x.r.IntN(20))
	for range x.r.IntN(3) {
		k = append(k, []byte{0, 1, 'a', 0xff}[x.r.IntN(4)])
	}
	return keys.User(k)
}

func (x *machine) anySpan() proto.Span {
	s := proto.Span{Start: x.anyKey(), End: x.anyKey()}
	if s.Empty() {
		s.Start, s.End = s.End, s.Start
	}
	return s
}

func (x *machine) anyRev() proto.Revision {
	if x.r.IntN(3) == 0 {
		return Latest
	}
	lo := max(x.m.floor, 1)
	return lo + proto.Revision(x.r.IntN(int(x.m.rev-lo)+2))
}

// write applies one revision of puts and deletes within one range.
func (x *machine) write() {
	x.m.rev++
	s := x.rangeOf(x.anyKey())
	apply(x.t, x.e, s.ID(), x.changes(s.Span(), 0, 1+x.r.IntN(6))...)
}

// changes returns up to n puts and deletes within span as the newest revision's
// changes from sub on. A key may be changed again and again (P17).
func (x *machine) changes(span proto.Span, sub int64, n int) (effects []*pontoonpb.Effect) {
	for range n {
		key := x.anyKey()
		if len(effects) > 0 && x.r.IntN(2) == 0 {
			key = effects[x.r.IntN(len(effects))].Key
		}
		if span.Contains(key) {
			effects = append(effects, x.change(key, sub))
			sub++
		}
	}
	return effects
}

// change is one put or delete of key in the newest revision.
func (x *machine) change(key []byte, sub int64) *pontoonpb.Effect {
	prev, live := x.m.newest(string(key), Latest)
	v := Version{Key: key, ModRevision: x.m.rev, Sub: sub}
	ef := &pontoonpb.Effect{Key: key, Rev: int64(x.m.rev), Sub: sub, PrevLease: int64(prev.Lease)}
	switch {
	case live && x.r.IntN(3) == 0:
		v.Tombstone = true
		ef.Kind, ef.Fresh = pontoonpb.EffectKind_EFFECT_DELETE, true
	default:
		v.CreateRevision, v.Version = prev.CreateRevision, prev.Version+1
		if !live {
			v.CreateRevision, v.Version = x.m.rev, 1
		}
		v.Lease = proto.LeaseID(x.r.IntN(3))
		v.Value = bytes.Repeat([]byte{byte(x.m.rev)}, x.r.IntN(200))
		ef.Kind, ef.Fresh, ef.Lease, ef.Value = pontoonpb.EffectKind_EFFECT_PUT, !live, int64(v.Lease), v.Value
		ef.CreateRevision, ef.Version = int64(v.CreateRevision), v.Version
	}
	x.m.versions[string(key)] = append(x.m.versions[string(key)], v)
	return ef
}

// deleteSpan applies a span deletion within one range, other changes of the
// same keys and revision around it (P36).
func (x *machine) deleteSpan() {
	x.m.rev++
	s := x.rangeOf(x.anyKey())
	span := s.Span().Intersect(x.anySpan())
	if span.Empty() {
		return
	}
	before := len(x.m.live(s.Span(), Latest))
	effects := x.changes(span, 0, x.r.IntN(3))
	sub := int64(len(effects))
	effects = append(effects, &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_DELETE_SPAN, Key: span.Start, End: span.End, Rev: int64(x.m.rev), Sub: sub,
	})
	for _, v := range x.m.live(span, Latest) {
		k := string(v.Key)
		x.m.versions[k] = append(x.m.versions[k], Version{Key: v.Key, ModRevision: x.m.rev, Sub: sub, Tombstone: true})
		sub++
	}
	effects = append(effects, x.changes(span, sub, x.r.IntN(3))...)
	res := apply(x.t, x.e, s.ID(), effects...)
	if delta := len(x.m.live(s.Span(), Latest)) - before; res.LiveDelta != int64(delta) {
		x.t.Fatalf("delta %d, want %d", res.LiveDelta, delta)
	}
	want := x.m.changes(span, x.m.rev, x.m.rev)
	slices.SortFunc(want, func(a, b Version) int { return cmp.Compare(a.Sub, b.Sub) })
	if len(res.Events) != len(want) {
		x.t.Fatalf("%d events, want %d", len(res.Events), len(want))
	}
	for i, v := range want {
		got := res.Events[i]
		if !bytes.Equal(keys.User(got.Event.Kv.Key), v.Key) || got.Sub != v.Sub || (got.Event.Type == mvccpb.Event_DELETE) != v.Tombstone {
			x.t.Fatalf("event %d is %v, want %+v", i, got, v)
		}
	}
}

// compact raises the floor of every range and waits for dropping.
func (x *machine) compact() {
	if x.m.rev < 2 {
		return
	}
	x.m.floor = max(x.m.floor, proto.Revision(1+x.r.IntN(int(x.m.rev))))
	for _, s := range must(x.e.Ranges())(x.t) {
		apply(x.t, x.e, s.ID(), setFloor(int64(x.m.floor)))
		if x.r.IntN(2) == 0 {
			check(x.t, <-x.drop.Request(s.ID()))
		}
	}
}

func (x *machine) split() {
	key := x.anyKey()
	s := x.rangeOf(key)
	if bytes.Equal(key, s.Span().Start) || x.next > 30 {
		return
	}
	x.next++
	left, right := cloneDescriptor(s.Descriptor), bootState(x.next, proto.Span{Start: key, End: s.Span().End})
	left.Span.End = key
	left.Generation++
	right.Applied.Floor = s.Applied.Floor
	right.Applied.LiveKeys = int64(len(x.m.live(right.Span(), Latest)))
	b := x.e.NewBatch()
	next := x.e.Log(s.ID()).Applied()
	next.Index++
	next.LiveKeys -= right.Applied.LiveKeys
	must(b.Apply(s.ID(), &next, nil))(x.t)
	check(x.t, b.SetDescriptor(left))
	check(x.t, b.CreateRange(right, 1))
	check(x.t, b.Commit(false))
}

// move streams every range into a fresh engine and goes on there; the new
// engine has leftovers in its way.
func (x *machine) move() {
	fs := NewMemFS()
	to := openFS(x.t, fs)
	from := must(x.e.NewLongView())(x.t)
	for _, s := range must(x.e.Ranges())(x.t) {
		createRange(x.t, to, s.ID(), s.Span())
		for range 3 {
			key := x.anyKey()
			if s.Span().Contains(key) {
				apply(x.t, to, s.ID(), &pontoonpb.Effect{
					Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: key, Rev: int64(x.m.rev) + 7, CreateRevision: 1, Version: 1, Lease: 2,
				})
			}
		}
		var buf bytes.Buffer
		must(from.Export(s.ID(), &buf))(x.t)
		check(x.t, to.ImportSnapshot(context.Background(), &buf, nil, 1))
		a, b := must(from.Checksum(s.ID()))(x.t), x.checksum(to, s.ID())
		if a != b {
			x.t.Fatalf("range %d: checksum %v here, %v there", s.ID(), a, b)
		}
	}
	check(x.t, from.Close())
	x.close()
	check(x.t, to.Close())
	x.fs = fs
	x.open()
}

func (x *machine) checksum(e *Engine, id proto.RangeID) Checksum {
	v := must(e.NewView())(x.t)
	defer v.Close()
	return must(v.Checksum(id))(x.t)
}

func (x *machine) check() {
	v := must(x.e.NewView())(x.t)
	defer func() { check(x.t, v.Close()) }()
	for range 10 {
		key, rev := x.anyKey(), x.anyRev()
		got, ok, err := v.Get(key, rev)
		check(x.t, err)
		want, wantOK := x.m.newest(string(key), rev)
		if ok != wantOK || ok && !same(got, want) {
			x.t.Fatalf("get %x at %d: %+v %v, want %+v %v", key, rev, got, ok, want, wantOK)
		}
	}
	span, rev := x.anySpan(), x.anyRev()
	var got []Version
	check(x.t, v.Scan(span, rev, ScanOptions{}, func(ver *Version) (bool, error) {
		got = append(got, keep(ver))
		return true, nil
	}))
	equal(x.t, fmt.Sprintf("scan %x at %d", span, rev), got, x.m.live(span, rev))
	if n := must(v.Count(span, rev))(x.t); n != int64(len(got)) {
		x.t.Fatalf("count %d, want %d", n, len(got))
	}
	x.checkChanges(v, span)
	x.checkHash(v, span, max(rev, x.m.floor))
	x.checkLeases(v, span)
	for _, s := range must(x.e.Ranges())(x.t) {
		if live := int64(len(x.m.live(s.Span(), Latest))); s.Applied.LiveKeys != live {
			x.t.Fatalf("range %d: %d live keys, want %d", s.ID(), s.Applied.LiveKeys, live)
		}
	}
}

// P43: what Hash counts depends neither on layout nor on dropping.
func (x *machine) checkHash(v *View, span proto.Span, rev proto.Revision) {
	want := int64(len(x.m.changes(span, x.m.floor+1, rev)) + len(x.m.live(span, x.m.floor)))
	if got := must(v.Hash(span, rev, x.m.floor))(x.t); got.Versions != want {
		x.t.Fatalf("hash of %d versions, want %d", got.Versions, want)
	}
}

// P24: a catch-up scan gives exactly the versions within its bounds, from the
// floor on (P41).
func (x *machine) checkChanges(v *View, span proto.Span) {
	from := x.m.floor + proto.Revision(x.r.IntN(int(x.m.rev-x.m.floor)+1))
	to := from + proto.Revision(x.r.IntN(40))
	var got []Version
	check(x.t, v.Changes(span, from, to, func(ver *Version) (bool, error) {
		got = append(got, keep(ver))
		return true, nil
	}))
	equal(x.t, fmt.Sprintf("changes %d..%d", from, to), got, x.m.changes(span, from, to))
}

func (x *machine) checkLeases(v *View, span proto.Span) {
	for lease := range proto.LeaseID(3) {
		var got, want []string
		check(x.t, v.LeaseKeys(span, lease, func(key []byte, l proto.LeaseID) (bool, error) {
			got = append(got, fmt.Sprintf("%x %d", key, l))
			return true, nil
		}))
		for _, ver := range x.m.live(span, Latest) {
			if ver.Lease != 0 && (lease == 0 || lease == ver.Lease) {
				want = append(want, fmt.Sprintf("%x %d", ver.Key, ver.Lease))
			}
		}
		if !slices.Equal(got, want) {
			x.t.Fatalf("lease %d in %x: %v, want %v", lease, span, got, want)
		}
	}
}

func keep(v *Version) Version {
	k := *v
	k.Key, k.Value = bytes.Clone(v.Key), bytes.Clone(v.Value)
	return k
}

func same(a, b Version) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && a.ModRevision == b.ModRevision && a.Sub == b.Sub &&
		a.CreateRevision == b.CreateRevision && a.Version == b.Version && a.Lease == b.Lease && a.Tombstone == b.Tombstone
}

func equal(t *testing.T, what string, got, want []Version) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d versions, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !same(got[i], want[i]) {
			t.Fatalf("%s: %d is %+v, want %+v", what, i, got[i], want[i])
		}
	}
}

// The engine reads as a naive map does, whatever restarts, drops, splits and
// snapshots come between (P24, P36, P40, P41, P42, P47).
func TestModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			x := &machine{t: t, r: rand.New(rand.NewPCG(seed, 99)), fs: NewMemFS(), next: proto.UserRange}
			x.m.versions = map[string][]Version{}
			x.open()
			createRange(t, x.e, proto.UserRange, keys.UserSpan)
			for range 300 {
				switch n := x.r.IntN(100); {
				case n < 70:
					x.write()
				case n < 76:
					x.deleteSpan()
				case n < 82:
					x.compact()
				case n < 86:
					x.split()
				case n < 90:
					x.close()
					x.open()
				case n < 94:
					check(t, x.e.db.Flush())
				case n < 96:
					check(t, x.e.db.Compact(context.Background(), []byte{0}, []byte{0xff, 0}, false))
				case n < 97:
					x.move()
				default:
				}
				x.check()
			}
			x.close()
		})
	}
}
