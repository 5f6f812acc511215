package rangeraft

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Report is what placement decides by.
type Report struct {
	Number uint64                   // rises with every report of this process, from 1
	Led    []*pontoonpb.RangeStatus // ranges that are led and served here, with their load
	Same   []uint64                 // such ranges that are as an earlier report said
}

// Report returns what is news to a caller whose last report had the number
// since; 0: it had none. It is cheap however many ranges there are: those that
// sleep are told once, sizes are remembered and measured again at a bounded
// rate, averages are aged by reading them.
func (s *Store) Report(since uint64) Report {
	// One after the other: a range that a report saw awake was not told as asleep
	// under a lower number.
	s.reports.Lock()
	defer s.reports.Unlock()
	s.reported++
	out := Report{Number: s.reported}
	for _, r := range s.all() {
		if r.servingTerm.Load() == 0 {
			continue
		}
		if rest := r.asleep.Load(); rest != nil && rest.reported != 0 && rest.reported <= since && r.unasked() {
			out.Same = append(out.Same, uint64(r.id))
		} else if st := r.status(); st != nil {
			out.Led = append(out.Led, st)
			switch {
			case rest == nil:
			case st.Load != noLoad || st.SizeBytes < 0 || r.asleep.Load() != rest:
				rest.reported = 0 // reads do not wake a range, but are load
			case rest.reported == 0:
				rest.reported = out.Number
			}
		}
	}
	return out
}

// unasked reports whether a range that is led here has no load.
func (r *Replica) unasked() bool {
	d := r.desc.Load()
	return d != nil && r.loadNow(d) == noLoad
}

// loadNow is the load of a range that is led here, nil elsewhere.
func (r *Replica) loadNow(d *pontoonpb.Descriptor) *pontoonpb.RangeLoad {
	if r.servingTerm.Load() == 0 {
		return nil
	}
	return r.load.now(proto.SpanOf(d.Span), r.s.opts.Now())
}

// LedBelow returns the ranges that are led and served here and have not recorded
// a compaction floor yet (P41).
func (s *Store) LedBelow(floor proto.Revision) (ds []*pontoonpb.Descriptor) {
	for _, r := range s.all() {
		if r.servingTerm.Load() == 0 || s.opts.Engine.Log(r.id).Applied().Floor >= floor {
			continue
		}
		if d := r.desc.Load(); d != nil {
			ds = append(ds, d)
		}
	}
	return ds
}
