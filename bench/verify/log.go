package verify

import (
	"cmp"
	"slices"
	"time"
)

// Log is the write history of a span: every revision with its changes, as the
// watches that cover the whole span delivered it together.
type Log struct {
	base    Base
	entries []logEntry // ascending by rev
	// states[i] is the content after entries[i].
	states []state
}

// logEntry is one revision. seen is the earliest moment any watch had it: by
// then the write had surely taken effect.
type logEntry struct {
	rev    Revision
	events []Event
	seen   time.Duration
}

// BuildLog merges the streams that cover [key, end) and proves that they agree
// with each other and that versions, create revisions and previous values
// follow from the changes before (I4, I6).
func BuildLog(base Base, key, end string, streams []Stream) (*Log, []Violation) {
	f := findings{check: "log"}
	byRev := map[Revision]*logEntry{}
	for i := range streams {
		s := &streams[i]
		if s.Key != key || s.End != end || s.Start > base.Rev+1 {
			continue
		}
		for rev, e := range collect(s) {
			have := byRev[rev]
			if have == nil {
				byRev[rev] = e
				continue
			}
			have.seen = min(have.seen, e.seen)
			if !slices.EqualFunc(have.events, e.events, sameChange) {
				f.addf("revision %d is %v for one watch and %v for %s", rev, have.events, e.events, s.Name)
				if len(e.events) > len(have.events) {
					have.events = e.events
				}
			}
		}
	}
	l := &Log{base: base}
	for _, e := range byRev {
		l.entries = append(l.entries, *e)
	}
	slices.SortFunc(l.entries, func(a, b logEntry) int { return cmp.Compare(a.rev, b.rev) })
	l.replay(&f)
	return l, f.done()
}

// collect groups the events of one stream by revision. A repeated delivery is
// CheckStreams' business; the first one counts here.
func collect(s *Stream) map[Revision]*logEntry {
	out := map[Revision]*logEntry{}
	for _, r := range s.Responses {
		for _, ev := range r.Events {
			e := out[ev.KV.Mod]
			if e == nil {
				e = &logEntry{rev: ev.KV.Mod, seen: r.At}
				out[ev.KV.Mod] = e
			}
			if !slices.ContainsFunc(e.events, func(o Event) bool { return o.KV.Key == ev.KV.Key }) {
				e.events = append(e.events, ev)
			}
		}
	}
	return out
}

func sameChange(a, b Event) bool { return a.Delete == b.Delete && a.KV == b.KV }

// replay computes the content after every revision and checks each change
// against it.
func (l *Log) replay(f *findings) {
	s := newState(l.base.KVs)
	for _, e := range l.entries {
		if e.rev <= l.base.Rev {
			f.addf("event at revision %d, but the history starts after %d", e.rev, l.base.Rev)
		}
		before := s
		for _, ev := range e.events {
			old, exists := before.get(ev.KV.Key)
			if ev.Delete {
				if !exists {
					f.addf("revision %d deletes %q, which does not exist", e.rev, ev.KV.Key)
				}
				if ev.KV.Value != "" || ev.KV.Create != 0 || ev.KV.Version != 0 || ev.KV.Lease != 0 {
					f.addf("delete event at %d carries more than key and revision: %+v", e.rev, ev.KV)
				}
				s = s.without(ev.KV.Key)
				continue
			}
			want := KV{Key: ev.KV.Key, Value: ev.KV.Value, Lease: ev.KV.Lease, Create: e.rev, Mod: e.rev, Version: 1}
			if exists {
				want.Create, want.Version = old.Create, old.Version+1
			}
			if want != ev.KV {
				f.addf("revision %d puts %+v, want %+v", e.rev, ev.KV, want)
			}
			s = s.with(ev.KV)
		}
		l.states = append(l.states, s)
	}
}

// at returns the content right after everything at or below rev.
func (l *Log) at(rev Revision) (state, bool) {
	if rev < l.base.Rev {
		return nil, false
	}
	i, found := l.find(rev)
	if found {
		i++
	}
	if i == 0 {
		return newState(l.base.KVs), true
	}
	return l.states[i-1], true
}

// find returns the position of the first entry at or above rev.
func (l *Log) find(rev Revision) (int, bool) {
	return slices.BinarySearchFunc(l.entries, rev, func(e logEntry, r Revision) int { return cmp.Compare(e.rev, r) })
}

func (l *Log) entry(rev Revision) *logEntry {
	if i, ok := l.find(rev); ok {
		return &l.entries[i]
	}
	return nil
}

// Last returns the highest revision of the log, the base's if it is empty.
func (l *Log) Last() Revision {
	if len(l.entries) == 0 {
		return l.base.Rev
	}
	return l.entries[len(l.entries)-1].rev
}

// Len returns the number of mutations in the log.
func (l *Log) Len() int { return len(l.entries) }

// Unused counts numbers between base and last revision that carry no change of
// the span: writes elsewhere and numbers lost in crashes.
func (l *Log) Unused() int { return int(l.Last()-l.base.Rev) - len(l.entries) }

// CheckReplay proves I3 by a second way than the search: every answer equals
// what the log holds at its revision, and every acknowledged mutation is in the
// log with exactly its changes in operation order (P17). Reads of the past are
// checked here only.
func CheckReplay(log *Log, history []Operation) []Violation {
	f := findings{check: "replay"}
	for i := range history {
		o := &history[i]
		if o.Outcome != Unknown {
			log.checkAnswer(&f, o)
		}
	}
	return f.done()
}

func (l *Log) checkAnswer(f *findings, o *Operation) {
	rev := o.Response.Rev
	before, ok := l.at(rev)
	if o.mutates() {
		before, ok = l.at(rev - 1)
	}
	if !ok {
		f.addf("client %d %v answered at %d, below the base %d", o.Client, o.Request, rev, l.base.Rev)
		return
	}
	canHold, canFail := before.holds(o.Request.If)
	if o.Response.Succeeded && !canHold || !o.Response.Succeeded && !canFail {
		f.addf("client %d %v took the wrong branch (succeeded=%v) at %d", o.Client, o.Request, o.Response.Succeeded, rev)
		return
	}
	results, _, events := before.run(o.branch(), rev, l.at)
	if o.Outcome == Done {
		for j, want := range results {
			if j >= len(o.Response.Results) {
				f.addf("client %d %v got %d results, want %d", o.Client, o.Request, len(o.Response.Results), len(results))
				break
			}
			if !sameResult(want, o.Response.Results[j], rev) {
				f.addf("client %d %v at %d: result %d is %+v, want %+v", o.Client, o.Request, rev, j, o.Response.Results[j], want)
			}
		}
	}
	if !o.mutates() {
		return
	}
	e := l.entry(rev)
	if e == nil {
		f.addf("client %d %v was acknowledged at %d, but no watch saw it", o.Client, o.Request, rev)
		return
	}
	if !slices.EqualFunc(events, e.events, sameChange) {
		f.addf("client %d %v at %d changed %v, want %v", o.Client, o.Request, rev, e.events, events)
	}
}
