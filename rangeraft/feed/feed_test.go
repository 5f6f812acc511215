package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// engine is a replica's state machine: changes become visible to views when
// applied, before they are published.
type engine struct {
	applied []applied
	floor   proto.Revision
	views   int // open
	taken   int
}

type applied struct {
	index  proto.Index
	events []*pontoonpb.ChangeEvent
}

type view struct {
	e     *engine
	upTo  int
	floor proto.Revision
}

func (e *engine) open() (View, error) {
	e.views++
	e.taken++
	return &view{e: e, upTo: len(e.applied), floor: e.floor}, nil
}

func (v *view) Applied() (proto.Index, proto.Revision, error) {
	return proto.Index(v.upTo), v.floor, nil
}

func (v *view) Changes(span proto.Span, from, to proto.Revision, fn func(*pontoonpb.ChangeEvent) bool) error {
	for _, a := range v.e.applied[:v.upTo] {
		for _, e := range a.events {
			if r := revisionOf(e); r >= from && r <= to && span.Contains(internalKey(e)) && !fn(e) {
				return nil
			}
		}
	}
	return nil
}

func (v *view) Close() { v.e.views-- }

func change(key string, rev int64, value string) *pontoonpb.ChangeEvent {
	return &pontoonpb.ChangeEvent{Event: &mvccpb.Event{
		Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: rev, Value: []byte(value)}}}
}

func userSpan(from, to string) proto.Span {
	return proto.Span{Start: keys.User([]byte(from)), End: keys.User([]byte(to))}
}

// drain receives everything that is there.
func drain(t *testing.T, s *Subscription) (out []*pontoonpb.FeedMessage, err error) {
	t.Helper()
	for {
		m, err := s.next()
		if m == nil || err != nil {
			return out, err
		}
		out = append(out, m)
	}
}

func flatten(ms []*pontoonpb.FeedMessage) (revs []int64, closed int64) {
	for _, m := range ms {
		for _, e := range m.Events {
			revs = append(revs, int64(revisionOf(e)))
		}
		closed = max(closed, m.Checkpoint.GetClosed())
	}
	return revs, closed
}

// reader checks one subscription against everything that was applied.
type reader struct {
	sub  *Subscription
	span proto.Span
	from proto.Revision
	got  map[string]bool
	over bool
}

// take reads a few messages and checks that nothing is repeated and nothing is
// below the start (P24: scan and live meet with no repeat).
func (r *reader) take(t *testing.T, e *engine, n int) {
	for ; n > 0 && !r.over; n-- {
		m, err := r.sub.next()
		if err != nil {
			t.Fatalf("next: %v", err)
		}
		if m == nil {
			return
		}
		if m.Ended != nil {
			r.over = true
			return
		}
		for _, ev := range m.Events {
			k := nameOf(ev)
			if r.got[k] {
				t.Fatalf("%s delivered twice", k)
			}
			if revisionOf(ev) < r.from || !r.span.Contains(internalKey(ev)) {
				t.Fatalf("%s was not asked for (from %d)", k, r.from)
			}
			r.got[k] = true
		}
		if c := m.Checkpoint; c != nil {
			r.check(t, e, proto.Revision(c.Closed))
		}
	}
}

func nameOf(e *pontoonpb.ChangeEvent) string {
	return fmt.Sprintf("%s@%d.%d", e.Event.Kv.Key, e.Event.Kv.ModRevision, e.Sub)
}

// check verifies a checkpoint: everything at or below it has come (P22).
func (r *reader) check(t *testing.T, e *engine, closed proto.Revision) {
	for _, a := range e.applied {
		for _, ev := range a.events {
			k := nameOf(ev)
			rev := revisionOf(ev)
			if rev >= r.from && rev <= closed && r.span.Contains(internalKey(ev)) && !r.got[k] {
				t.Fatalf("checkpoint %d before %s (from %d)", closed, k, r.from)
			}
		}
	}
}

// P24, P22: whatever the interleaving of apply, publish, subscribe and reading,
// with revisions applied out of order, a subscriber gets each change once, and
// a checkpoint never overtakes one.
func TestRandomInterleavings_P24_P22(t *testing.T) {
	for seed := uint64(0); seed < 60; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { interleave(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func interleave(t *testing.T, rng *rand.Rand) {
	e := &engine{floor: proto.NeverCompacted}
	span := userSpan("a", "z")
	rev, closed := int64(1), int64(1)
	var delayed []int64 // revisions taken, applied later: txns over ranges
	apply := func() {
		var evs []*pontoonpb.ChangeEvent
		for range 1 + rng.IntN(3) {
			rev++
			if rng.IntN(5) == 0 {
				delayed = append(delayed, rev)
				continue
			}
			key := string(rune('a' + rng.IntN(20)))
			for sub := range 1 + rng.IntN(3) { // a revision may change a key several times (P17)
				e := change(key, rev, "v")
				e.Sub = int64(sub)
				evs = append(evs, e)
			}
		}
		if len(delayed) > 0 && rng.IntN(3) == 0 {
			evs = append(evs, change(string(rune('a'+rng.IntN(20))), delayed[0], "late"))
			delayed = delayed[1:]
		}
		e.applied = append(e.applied, applied{proto.Index(len(e.applied) + 1), evs})
	}
	for range rng.IntN(20) { // what was there before the hub
		apply()
	}
	published := len(e.applied)
	h := NewHub(Options{RingBytes: 256 * (1 + rng.IntN(12)), QueueBytes: 1 << 20, MessageBytes: 600}, span, 1, 1)
	var readers []*reader
	for range 400 {
		switch rng.IntN(8) {
		case 0, 1:
			apply()
		case 2, 3:
			if published < len(e.applied) {
				a := e.applied[published]
				published++
				h.Publish(a.index, a.events)
			}
		case 4:
			if published == len(e.applied) {
				if closed = rev; len(delayed) > 0 {
					closed = delayed[0] - 1
				}
				h.Advance(proto.Revision(closed))
			}
		case 5:
			r := &reader{span: span, got: map[string]bool{}, from: 1 + proto.Revision(rng.Int64N(rev+1))}
			if rng.IntN(3) == 0 {
				r.span = userSpan("c", "k")
			}
			ask := r.from
			if rng.IntN(4) == 0 {
				ask, r.from = 0, h.Closed()+1
			}
			sub, err := h.Subscribe(r.span, ask, e.open)
			if err != nil {
				t.Fatal(err)
			}
			r.sub = sub
			readers = append(readers, r)
		default:
			if len(readers) > 0 {
				i := rng.IntN(len(readers))
				readers[i].take(t, e, 1+rng.IntN(3))
				if rng.IntN(6) == 0 {
					readers[i].sub.Close()
					readers = append(readers[:i], readers[i+1:]...)
				}
			}
			if rng.IntN(20) == 0 {
				h.Trim()
			}
		}
	}
	for ; published < len(e.applied); published++ {
		h.Publish(e.applied[published].index, e.applied[published].events)
	}
	h.Advance(proto.Revision(rev + 1)) // what is still delayed stands for lost numbers
	for _, r := range readers {
		r.take(t, e, 1<<20)
		r.check(t, e, proto.Revision(rev+1))
		r.sub.Close()
	}
	if e.views != 0 {
		t.Fatalf("%d views left open", e.views)
	}
}

// P24: the ring serves a start only if nothing it ever evicted is at or above
// it, even if what it still holds goes further back.
func TestRingServesOnlyAboveEvicted_P24(t *testing.T) {
	e := &engine{floor: proto.NeverCompacted}
	h := NewHub(Options{RingBytes: 3 * 300}, userSpan("a", "z"), 1, 0)
	s0, _ := h.Subscribe(userSpan("a", "z"), 1, e.open)
	drain(t, s0) // its scan proves that nothing came before
	for i, rev := range []int64{10, 5, 6, 7} {
		evs := []*pontoonpb.ChangeEvent{change("k", rev, "")}
		e.applied = append(e.applied, applied{proto.Index(i + 1), evs})
		h.Publish(proto.Index(i+1), evs)
	}
	before := e.taken
	for _, from := range []proto.Revision{6, 11} { // 10 was evicted first
		s, err := h.Subscribe(userSpan("a", "z"), from, e.open)
		if err != nil {
			t.Fatal(err)
		}
		ms, _ := drain(t, s)
		revs, _ := flatten(ms)
		want := map[proto.Revision]int{6: 3, 11: 0}[from]
		if len(revs) != want {
			t.Fatalf("from %d: got %v, want %d changes", from, revs, want)
		}
	}
	if got := e.taken - before; got != 1 {
		t.Fatalf("%d scans, want one: from 6 needs it, from 11 does not", got)
	}
}

// P21, P23: a narrower span or a snapshot ends subscriptions, typed.
func TestEnds_P21_P23(t *testing.T) {
	e := &engine{floor: proto.NeverCompacted}
	h := NewHub(Options{}, userSpan("a", "z"), 1, 5)
	left, _ := h.Subscribe(userSpan("a", "c"), 6, e.open)
	both, _ := h.Subscribe(userSpan("a", "z"), 6, e.open)
	drain(t, left)
	drain(t, both)
	h.Publish(1, []*pontoonpb.ChangeEvent{change("b", 6, "")})
	h.Narrow(userSpan("a", "m"), 2, &pontoonpb.Descriptor{RangeId: 9})
	ms, _ := drain(t, both)
	last := ms[len(ms)-1]
	if last.Ended.GetCode() != pontoonpb.RangeErrorCode_RANGE_MISMATCH || last.Ended.Descriptors[0].RangeId != 9 {
		t.Fatalf("both sides: got %v", last)
	}
	if revs, _ := flatten(ms); len(revs) != 1 {
		t.Fatalf("what was published before the split is delivered: got %v", revs)
	}
	if _, err := both.Recv(context.Background()); !errors.Is(err, io.EOF) {
		t.Fatalf("after the end: %v", err)
	}
	ms, _ = drain(t, left)
	if c := ms[len(ms)-1].Checkpoint; c.GetGeneration() != 2 {
		t.Fatalf("left goes on in generation 2: got %v", ms)
	}
	if _, err := h.Subscribe(userSpan("a", "z"), 6, e.open); !proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH) {
		t.Fatalf("subscribe outside: %v", err)
	}
	h.Reset(userSpan("a", "m"), 3, 50, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "snapshot"))
	ms, _ = drain(t, left)
	if len(ms) != 1 || ms[0].Ended.GetCode() != pontoonpb.RangeErrorCode_UNAVAILABLE {
		t.Fatalf("snapshot: got %v", ms)
	}
	h.Close(proto.Errorf(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND, "gone"))
	if _, err := h.Subscribe(userSpan("a", "b"), 6, e.open); !proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_NOT_FOUND) {
		t.Fatalf("subscribe to a closed hub: %v", err)
	}
}

// P41: a start below the floor of the same view is refused, at the floor it is
// served.
func TestScanChecksFloor_P41(t *testing.T) {
	e := &engine{floor: 8, applied: []applied{{1, []*pontoonpb.ChangeEvent{change("k", 8, ""), change("l", 9, "")}}}}
	h := NewHub(Options{}, userSpan("a", "z"), 1, 9)
	s, _ := h.Subscribe(userSpan("a", "z"), 7, e.open)
	ms, _ := drain(t, s)
	if len(ms) != 1 || ms[0].Ended.GetCode() != pontoonpb.RangeErrorCode_BELOW_FLOOR || ms[0].Ended.Floor != 8 {
		t.Fatalf("from 7: got %v", ms)
	}
	s, _ = h.Subscribe(userSpan("a", "z"), 8, e.open)
	ms, _ = drain(t, s)
	if revs, closed := flatten(ms); len(revs) != 2 || closed != 9 {
		t.Fatalf("from 8: got %v closed %d", revs, closed)
	}
	if e.views != 0 {
		t.Fatal("view left open")
	}
}

// A subscriber that does not read is ended and its queue is freed; the others
// go on.
func TestSlowSubscriberIsEnded(t *testing.T) {
	e := &engine{floor: proto.NeverCompacted}
	h := NewHub(Options{QueueBytes: 10 * 300}, userSpan("a", "z"), 1, 0)
	slow, _ := h.Subscribe(userSpan("a", "z"), 1, e.open)
	fast, _ := h.Subscribe(userSpan("a", "z"), 1, e.open)
	drain(t, slow)
	drain(t, fast)
	for i := range 50 {
		h.Publish(proto.Index(i+1), []*pontoonpb.ChangeEvent{change("k", int64(i+1), "")})
		if ms, err := drain(t, fast); err != nil || len(ms) != 1 {
			t.Fatalf("fast reader: %v %v", ms, err)
		}
	}
	ms, _ := drain(t, slow)
	if len(ms) != 1 || ms[0].Ended.GetCode() != pontoonpb.RangeErrorCode_UNAVAILABLE {
		t.Fatalf("slow reader: got %d messages", len(ms))
	}
	if h.Subscribers() != 1 {
		t.Fatalf("%d subscribers", h.Subscribers())
	}
}

// A subscription from 0 first learns the closed revision it starts above, also
// when the engine has to be read for what is above it.
func TestFromZeroStartsAboveFirstCheckpoint(t *testing.T) {
	e := &engine{floor: proto.NeverCompacted, applied: []applied{{1, []*pontoonpb.ChangeEvent{change("k", 4, ""), change("l", 6, "")}}}}
	h := NewHub(Options{}, userSpan("a", "z"), 1, 5)
	s, _ := h.Subscribe(userSpan("a", "z"), 0, e.open)
	h.Advance(7)
	ms, _ := drain(t, s)
	if c := ms[0].Checkpoint; c.GetClosed() != 5 || len(ms[0].Events) != 0 {
		t.Fatalf("first message: %v", ms[0])
	}
	if revs, closed := flatten(ms); len(revs) != 1 || revs[0] != 6 || closed != 7 {
		t.Fatalf("got %v closed %d", revs, closed)
	}
}

// Recv waits, and wakes for events, the end, Close and its context.
func TestRecvWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{floor: proto.NeverCompacted}
		h := NewHub(Options{}, userSpan("a", "z"), 1, 0)
		s, _ := h.Subscribe(userSpan("a", "z"), 1, e.open)
		drain(t, s)
		got := make(chan *pontoonpb.FeedMessage, 4)
		errs := make(chan error, 1)
		go func() {
			for {
				m, err := s.Recv(t.Context())
				if err != nil {
					errs <- err
					return
				}
				got <- m
			}
		}()
		synctest.Wait()
		h.Publish(1, []*pontoonpb.ChangeEvent{change("k", 1, "")})
		if m := <-got; len(m.Events) != 1 {
			t.Fatalf("got %v", m)
		}
		h.Advance(3)
		if m := <-got; m.Checkpoint.GetClosed() != 3 {
			t.Fatalf("got %v", m)
		}
		s.Close()
		if err := <-errs; !errors.Is(err, io.EOF) {
			t.Fatalf("after Close: %v", err)
		}
	})
}

// Without subscribers nothing is kept, and what was missed is known.
func TestIdleHubKeepsNothing(t *testing.T) {
	e := &engine{floor: proto.NeverCompacted}
	h := NewHub(Options{}, userSpan("a", "z"), 1, 0)
	publish := func(rev int64) {
		evs := []*pontoonpb.ChangeEvent{change("k", rev, "")}
		e.applied = append(e.applied, applied{proto.Index(len(e.applied) + 1), evs})
		h.Publish(proto.Index(len(e.applied)), evs)
	}
	publish(1)
	if len(h.ring.held()) != 0 {
		t.Fatal("ring holds without subscribers")
	}
	s, _ := h.Subscribe(userSpan("a", "z"), 1, e.open)
	drain(t, s)
	publish(2)
	s.Close()
	h.Trim()
	h.Trim()
	if len(h.ring.held()) != 0 {
		t.Fatal("ring outlives its subscribers")
	}
	publish(3)
	for from, want := range map[proto.Revision]int{2: 2, 3: 1, 4: 0} {
		s, _ := h.Subscribe(userSpan("a", "z"), from, e.open)
		ms, _ := drain(t, s)
		if revs, _ := flatten(ms); len(revs) != want {
			t.Fatalf("from %d: got %v", from, revs)
		}
	}
}
