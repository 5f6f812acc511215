package verify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// simulation is a correct store that produces a correct Run: operations of
// several clients overlap in time, take effect one after the other, revisions
// are skipped now and then, some answers are lost.
type simulation struct {
	rng    *rand.Rand
	now    time.Duration
	rev    Revision
	kvs    state
	past   map[Revision]state
	events map[Revision][]Event
	seen   map[Revision]time.Duration
	busy   []time.Duration // per client, end of its last operation
	run    Run
	serial int
}

const (
	testKey = "k/"
	testEnd = "k0"
)

func simulate(seed uint64, ops int) Run {
	s := &simulation{
		rng: rand.New(rand.NewPCG(seed, 1)), rev: 10,
		past: map[Revision]state{}, events: map[Revision][]Event{}, seen: map[Revision]time.Duration{},
		busy: make([]time.Duration, 5),
	}
	s.run = Run{Key: testKey, End: testEnd}
	s.kvs = newState([]KV{{Key: "k/1", Value: "base", Create: 3, Mod: 7, Version: 2}})
	s.run.Base = Base{Rev: s.rev, KVs: s.kvs}
	s.past[s.rev] = s.kvs
	s.lease(100, 10*time.Second)
	for range ops {
		s.step()
	}
	s.expire(100, 30*time.Second)
	s.streams()
	return s.run
}

func (s *simulation) key() string { return fmt.Sprintf("k/%d", s.rng.IntN(8)) }

func (s *simulation) request() Request {
	s.serial++
	put := Op{Kind: OpPut, Key: s.key(), Value: fmt.Sprintf("v%d", s.serial)}
	if s.rng.IntN(4) == 0 {
		put.Lease = 100
	}
	other := Op{Kind: OpDelete, Key: s.key()}
	switch s.rng.IntN(7) {
	case 0, 1:
		return Request{Then: []Op{put}}
	case 2:
		return Request{Then: []Op{other}}
	case 3:
		return Request{Then: []Op{{Kind: OpGet, Key: testKey, End: testEnd, Limit: int64(s.rng.IntN(4))}}}
	case 4:
		return Request{Then: []Op{{Kind: OpGet, Key: testKey, End: testEnd, At: 10 + Revision(s.rng.Int64N(int64(s.rev-9)))}}}
	case 5:
		if other.Key == put.Key {
			other.Key = "k/8"
		}
		return Request{Then: []Op{put, other}}
	default:
		kv, _ := s.kvs.get(put.Key)
		number := int64(kv.Mod)
		if s.rng.IntN(2) == 0 {
			number++
		}
		return Request{
			If:   []Compare{{Key: put.Key, Target: TargetMod, Result: "=", Number: number}},
			Then: []Op{put}, Else: []Op{{Kind: OpGet, Key: put.Key}},
		}
	}
}

func (s *simulation) step() {
	s.now += time.Millisecond
	c := s.rng.IntN(len(s.busy))
	call := max(s.busy[c]+1, s.now-time.Duration(s.rng.IntN(3000))*time.Microsecond)
	if call > s.now {
		return
	}
	o := Operation{Client: c, Call: call, Return: s.now + time.Duration(s.rng.IntN(3000))*time.Microsecond, Request: s.request(), Outcome: Done}
	s.busy[c] = o.Return
	s.apply(&o)
	if o.mutates() && s.rng.IntN(10) == 0 {
		o.Outcome, o.Response = Unknown, Response{}
	}
	s.run.History = append(s.run.History, o)
}

func (s *simulation) apply(o *Operation) {
	o.Response.Succeeded, _ = s.kvs.holds(o.Request.If)
	next := s.rev + 1
	if s.rng.IntN(20) == 0 {
		next += 3 // a crash lost some numbers
	}
	results, kvs, events := s.kvs.run(o.branch(), next, func(r Revision) (state, bool) {
		for ; r > 0; r-- {
			if st, ok := s.past[r]; ok {
				return st, true
			}
		}
		return nil, false
	})
	if len(events) > 0 {
		s.rev, s.kvs = next, kvs
		s.past[next], s.events[next], s.seen[next] = kvs, events, s.now
	}
	o.Response.Rev = s.rev
	for _, r := range results {
		o.Response.Results = append(o.Response.Results, Result{KVs: slices.Clone(r.KVs), Count: r.Count, Deleted: r.Deleted})
	}
}

func (s *simulation) lease(id int64, ttl time.Duration) {
	s.run.Leases = append(s.run.Leases, Lease{ID: id, TTL: ttl, Renewals: []Span{{0, time.Millisecond}}})
}

func (s *simulation) expire(id int64, after time.Duration) {
	s.now = max(s.now, after)
	var o Operation
	for _, kv := range s.kvs {
		if kv.Lease == id {
			o.Request.Then = append(o.Request.Then, Op{Kind: OpDelete, Key: kv.Key})
		}
	}
	o.Response.Succeeded = true
	s.apply(&o)
}

func (s *simulation) streams() {
	revs := slices.Sorted(func(yield func(Revision) bool) {
		for r := range s.events {
			if !yield(r) {
				return
			}
		}
	})
	for _, st := range []Stream{
		{Name: "all", Key: testKey, End: testEnd, Start: 11, PrevKV: true},
		{Name: "late", Key: testKey, End: testEnd, Start: 11},
		{Name: "part", Key: "k/2", End: "k/5", Start: 20, PrevKV: true},
	} {
		for _, rev := range revs {
			s.deliver(&st, rev)
		}
		st.Responses = append(st.Responses, WatchResponse{At: s.now, Header: s.rev + 2})
		s.run.Streams = append(s.run.Streams, st)
	}
	s.run.Through = s.rev + 2
}

func (s *simulation) deliver(st *Stream, rev Revision) {
	r := WatchResponse{At: s.seen[rev], Header: rev}
	before := s.run.Base.KVs
	for p := rev - 1; p > 0; p-- {
		if b, ok := s.past[p]; ok {
			before = b
			break
		}
	}
	for _, ev := range s.events[rev] {
		if rev < st.Start || !Covers(st.Key, st.End, ev.KV.Key) {
			continue
		}
		if old, ok := state(before).get(ev.KV.Key); ok && st.PrevKV {
			ev.Prev = &old
		}
		r.Events = append(r.Events, ev)
	}
	if len(r.Events) > 0 {
		st.Responses = append(st.Responses, r)
	}
	if rev%5 == 0 {
		st.Responses = append(st.Responses, WatchResponse{At: r.At, Header: rev})
	}
}
