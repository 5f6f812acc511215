package verify

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const search = 30 * time.Second

// A correct history with overlapping operations, lost answers, skipped numbers
// and an expiry passes every check.
func TestCorrectHistoryPasses(t *testing.T) {
	for seed := range uint64(15) {
		run := simulate(seed, 400)
		v := Check(run, search)
		if !v.OK() {
			t.Fatalf("seed %d: %v", seed, v.Violations)
		}
		if v.Unanswered == 0 || v.Settled == 0 || v.Unused == 0 || v.Mutations == 0 {
			t.Fatalf("seed %d exercises too little: %+v", seed, v)
		}
	}
}

// Without any watch the model itself carries unanswered operations.
func TestModelCarriesUnanswered(t *testing.T) {
	put := func(v string) Request { return Request{Then: []Op{{Kind: OpPut, Key: "k/1", Value: v}}} }
	get := Request{Then: []Op{{Kind: OpGet, Key: "k/1"}}}
	seen := KV{Key: "k/1", Value: "b", Create: 2, Mod: 4, Version: 2}
	history := []Operation{
		{Call: 1, Return: 2, Request: put("a"), Outcome: Done, Response: Response{Rev: 2, Succeeded: true, Results: []Result{{}}}},
		{Call: 3, Return: 4, Request: put("b"), Outcome: Unknown},
		{Call: 5, Return: 6, Request: get, Outcome: Done, Response: Response{Rev: 4, Succeeded: true, Results: []Result{{KVs: []KV{seen}, Count: 1}}}},
		{Call: 7, Return: 8, Request: Request{If: []Compare{{Key: "k/1", Target: TargetMod, Result: "=", Number: 4}}, Then: put("c").Then},
			Outcome: Done, Response: Response{Rev: 5, Succeeded: true, Results: []Result{{}}}},
	}
	if v := CheckLinearizable(Base{Rev: 1}, history, search); len(v) > 0 {
		t.Fatal(v)
	}
	// Once seen it cannot vanish again.
	gone := Operation{Call: 9, Return: 10, Request: get, Outcome: Done, Response: Response{Rev: 5, Succeeded: true, Results: []Result{{
		KVs: []KV{{Key: "k/1", Value: "a", Create: 2, Mod: 2, Version: 1}}, Count: 1}}}}
	if v := CheckLinearizable(Base{Rev: 1}, append(history[:3:3], gone), search); len(v) == 0 {
		t.Fatal("a read that went back was accepted")
	}
}

// done returns the n-th answered operation that matches.
func done(run *Run, n int, match func(*Operation) bool) *Operation {
	for i := range run.History {
		if o := &run.History[i]; o.Outcome == Done && match(o) {
			if n--; n < 0 {
				return o
			}
		}
	}
	panic("the simulation has no such operation")
}

func mutation(o *Operation) bool { return o.mutates() }

func fullRead(o *Operation) bool {
	op := o.Request.Then[0]
	return op.Kind == OpGet && op.End != "" && op.At == 0 && op.Limit == 0 && len(o.Response.Results[0].KVs) > 1
}

// response returns the n-th response with events of a stream.
func response(s *Stream, n int) (int, *WatchResponse) {
	for i := range s.Responses {
		if len(s.Responses[i].Events) > 0 {
			if n--; n < 0 {
				return i, &s.Responses[i]
			}
		}
	}
	panic("the simulation has no such response")
}

// Every planted violation is seen, by the check that is meant to see it.
func TestPlantedViolations(t *testing.T) {
	tests := map[string]struct {
		check string
		text  string
		plant func(run *Run)
	}{
		"I1 revision used twice": {"revisions", "was given to", func(run *Run) {
			done(run, 20, mutation).Response.Rev = done(run, 21, mutation).Response.Rev
		}},
		"I2 revision falls in real time": {"revisions", "began at", func(run *Run) {
			a, b := done(run, 10, mutation), done(run, 40, mutation)
			a.Response.Rev, b.Response.Rev = b.Response.Rev, a.Response.Rev
		}},
		"I2 read header behind an answered write": {"revisions", "began at", func(run *Run) {
			done(run, 5, fullRead).Response.Rev = run.Base.Rev
		}},
		"I3 stale read at a new header": {"replay", "result 0", func(run *Run) {
			o := done(run, 5, fullRead)
			o.Response.Results[0].KVs = run.Base.KVs
			o.Response.Results[0].Count = 1
		}},
		"I3 stale read, seen by the search": {"linearizable", "no order", func(run *Run) {
			o := done(run, 5, fullRead)
			o.Response.Results[0].KVs = run.Base.KVs
			o.Response.Results[0].Count = 1
		}},
		"I3 read misses one key": {"replay", "result 0", func(run *Run) {
			r := &done(run, 3, fullRead).Response.Results[0]
			r.KVs = r.KVs[1:]
		}},
		"I3 wrong count": {"replay", "result 0", func(run *Run) { done(run, 3, fullRead).Response.Results[0].Count++ }},
		"I3 past read wrong": {"replay", "result 0", func(run *Run) {
			o := done(run, 3, func(o *Operation) bool {
				return o.Request.Then[0].At > 0 && len(o.Response.Results[0].KVs) > 0
			})
			o.Response.Results[0].KVs[0].Version++
		}},
		"I3 wrong branch": {"replay", "wrong branch", func(run *Run) {
			o := done(run, 2, func(o *Operation) bool { return len(o.Request.If) > 0 && !o.Response.Succeeded })
			o.Response.Succeeded = true
			o.Response.Results = []Result{{}}
		}},
		"I3 acknowledged write lost": {"replay", "no watch saw", func(run *Run) {
			o := done(run, 12, mutation)
			for i := range run.Streams {
				s := &run.Streams[i]
				s.Responses = slices.DeleteFunc(s.Responses, func(r WatchResponse) bool {
					return len(r.Events) > 0 && r.Events[0].KV.Mod == o.Response.Rev
				})
			}
		}},
		"I4 gap": {"watch", "want", func(run *Run) {
			i, _ := response(&run.Streams[0], 5)
			run.Streams[0].Responses = slices.Delete(run.Streams[0].Responses, i, i+1)
		}},
		"I4 repeat": {"watch", "repeated", func(run *Run) {
			i, r := response(&run.Streams[0], 5)
			run.Streams[0].Responses = slices.Insert(run.Streams[0].Responses, i, *r)
		}},
		"I4 repeat within a revision": {"watch", "repeated within revision", func(run *Run) {
			_, r := response(&run.Streams[0], 5)
			r.Events = append(r.Events[:len(r.Events):len(r.Events)], r.Events[0])
		}},
		"I4 order": {"watch", "", func(run *Run) {
			_, a := response(&run.Streams[1], 5)
			_, b := response(&run.Streams[1], 6)
			*a, *b = *b, *a
		}},
		"I4 split revision": {"watch", "split from its revision", func(run *Run) {
			splitRevision(&run.Streams[0])
		}},
		"I4 P17 order within a revision": {"replay", "changed", func(run *Run) {
			for i := range run.Streams {
				for j := range run.Streams[i].Responses {
					slices.Reverse(run.Streams[i].Responses[j].Events)
				}
			}
		}},
		"I4 before the start": {"watch", "before the start", func(run *Run) {
			_, r := response(&run.Streams[2], 0)
			run.Streams[2].Start = r.Events[0].KV.Mod + 1
		}},
		"I4 stalled stream": {"watch", "stalled", func(run *Run) { run.Through++ }},
		"I5 progress overtakes": {"watch", "after progress", func(run *Run) {
			i, r := response(&run.Streams[0], 5)
			run.Streams[0].Responses = slices.Insert(run.Streams[0].Responses, i, WatchResponse{Header: r.Header})
		}},
		"I5 progress falls": {"watch", "progress falls", func(run *Run) {
			s := &run.Streams[2]
			s.Responses = append(s.Responses, WatchResponse{Header: run.Through - 1})
		}},
		"I6 prev_kv wrong": {"watch", "prev_kv", func(run *Run) {
			withPrev(&run.Streams[0]).Prev.Version++
		}},
		"I6 prev_kv missing": {"watch", "no prev_kv", func(run *Run) { withPrev(&run.Streams[0]).Prev = nil }},
		"I6 wrong version in an event": {"log", "puts", func(run *Run) {
			ev := withPrev(&run.Streams[0])
			for i := range run.Streams {
				for j := range run.Streams[i].Responses {
					for k := range run.Streams[i].Responses[j].Events {
						if e := &run.Streams[i].Responses[j].Events[k]; e.KV == ev.KV && e != ev {
							e.KV.Version += 5
						}
					}
				}
			}
			ev.KV.Version += 5
		}},
		"I7 a write nobody made": {"unexplained", "nobody wrote", func(run *Run) {
			o := done(run, 12, mutation)
			i := slices.IndexFunc(run.History, func(p Operation) bool {
				return &p.Response == &o.Response || p.Response.Rev == o.Response.Rev && p.mutates()
			})
			run.History = slices.Delete(run.History, i, i+1)
		}},
		"I7 a write done twice": {"unexplained", "done twice", func(run *Run) {
			o := done(run, 12, func(o *Operation) bool { return o.mutates() && o.Request.Then[0].Kind == OpPut && o.Response.Succeeded })
			o.Response.Rev += 1000
		}},
		"I8 early expiry": {"leases", "was renewed", func(run *Run) {
			run.Leases[0].Renewals = append(run.Leases[0].Renewals, Span{25 * time.Second, 26 * time.Second})
		}},
		"I8 lease read after revoke": {"leases", "revoked at", func(run *Run) {
			run.Leases[0].Revoke = &Span{1, 2}
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			run := simulate(7, 400)
			test.plant(&run)
			v := Check(run, search)
			if !slices.ContainsFunc(v.Violations, func(v Violation) bool {
				return v.Check == test.check && strings.Contains(v.Detail, test.text)
			}) {
				t.Errorf("not caught by %s (%q): %v", test.check, test.text, v.Violations)
			}
		})
	}
}

func withPrev(s *Stream) *Event {
	for i := range s.Responses {
		for j := range s.Responses[i].Events {
			if ev := &s.Responses[i].Events[j]; ev.Prev != nil && !ev.Delete {
				return ev
			}
		}
	}
	panic("the simulation has no such event")
}

func splitRevision(s *Stream) {
	for i, r := range s.Responses {
		if len(r.Events) > 1 {
			first, second := r, r
			first.Events, second.Events = r.Events[:1], r.Events[1:]
			s.Responses = slices.Replace(s.Responses, i, i+1, first, second)
			return
		}
	}
	panic("the simulation has no revision with two events")
}
