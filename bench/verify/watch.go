package verify

import "slices"

// CheckStreams proves I4, I5 and I6 for every stream against the log: no gap,
// no repeat, revision order, whole revisions in operation order, nothing after
// a progress notification at or above it, right previous values. through is a
// revision that every stream must have reached by an event or a notification;
// a stream that did not has stalled.
func CheckStreams(log *Log, streams []Stream, through Revision) []Violation {
	f := findings{check: "watch"}
	for i := range streams {
		s := &streams[i]
		covered := checkOrder(&f, s)
		if covered < through {
			f.addf("%s stalled at %d, %d was expected", s.Name, covered, through)
		}
		checkContent(&f, log, s, covered)
		if s.PrevKV {
			checkPrevious(&f, log, s)
		}
	}
	return f.done()
}

// checkOrder looks at the stream alone and returns the revision up to which it
// claims to be complete.
func checkOrder(f *findings, s *Stream) (covered Revision) {
	covered = s.Start - 1
	var progress Revision
	for _, r := range s.Responses {
		if len(r.Events) == 0 {
			if r.Header < progress {
				f.addf("%s: progress falls from %d to %d", s.Name, progress, r.Header)
			}
			if r.Header < covered && r.Header > 0 && covered >= s.Start {
				f.addf("%s: progress at %d after an event at %d", s.Name, r.Header, covered)
			}
			progress = max(progress, r.Header)
			covered = max(covered, r.Header)
			continue
		}
		within := covered
		for i, ev := range r.Events {
			rev := ev.KV.Mod
			switch {
			case i > 0 && rev == r.Events[i-1].KV.Mod && changes(r.Events[:i], rev, ev.KV.Key):
				f.addf("%s: event for %q repeated within revision %d", s.Name, ev.KV.Key, rev)
			case rev < s.Start:
				f.addf("%s: event at %d before the start %d", s.Name, rev, s.Start)
			case rev <= progress:
				f.addf("%s: event at %d after progress at %d", s.Name, rev, progress)
			case rev <= covered:
				f.addf("%s: event for %q at %d repeated, late or split from its revision (had %d)",
					s.Name, ev.KV.Key, rev, covered)
			case rev < within:
				f.addf("%s: event at %d after %d within a response", s.Name, rev, within)
			}
			within = max(within, rev)
		}
		if r.Header < within {
			f.addf("%s: header %d below its own event at %d", s.Name, r.Header, within)
		}
		covered = max(covered, within)
	}
	return covered
}

// changes says whether one of the events changes the key at the revision.
func changes(events []Event, rev Revision, key string) bool {
	return slices.ContainsFunc(events, func(ev Event) bool { return ev.KV.Mod == rev && ev.KV.Key == key })
}

// checkContent compares the whole stream with the log's projection on its span.
func checkContent(f *findings, log *Log, s *Stream, covered Revision) {
	var want, got []Event
	for _, e := range log.entries {
		if e.rev < s.Start || e.rev > covered {
			continue
		}
		for _, ev := range e.events {
			if Covers(s.Key, s.End, ev.KV.Key) {
				want = append(want, ev)
			}
		}
	}
	for _, r := range s.Responses {
		got = append(got, r.Events...)
	}
	for i := 0; i < max(len(want), len(got)); i++ {
		switch {
		case i == len(got):
			f.addf("%s: %d events missing up to %d, the first is %+v", s.Name, len(want)-i, covered, want[i])
		case i == len(want):
			f.addf("%s: event %+v is not in the log", s.Name, got[i])
		case !sameChange(want[i], got[i]):
			f.addf("%s: event %d is %+v, want %+v", s.Name, i, got[i], want[i])
		default:
			continue
		}
		return // what follows is shifted
	}
}

func checkPrevious(f *findings, log *Log, s *Stream) {
	for _, r := range s.Responses {
		for _, ev := range r.Events {
			before, ok := log.at(ev.KV.Mod - 1)
			if !ok {
				continue
			}
			old, exists := before.get(ev.KV.Key)
			switch {
			case exists && ev.Prev == nil:
				f.addf("%s: no prev_kv for %q at %d, want %+v", s.Name, ev.KV.Key, ev.KV.Mod, old)
			case !exists && ev.Prev != nil:
				f.addf("%s: prev_kv %+v for %q at %d, which was created there", s.Name, *ev.Prev, ev.KV.Key, ev.KV.Mod)
			case exists && *ev.Prev != old:
				f.addf("%s: prev_kv %+v for %q at %d, want %+v", s.Name, *ev.Prev, ev.KV.Key, ev.KV.Mod, old)
			}
		}
	}
}
