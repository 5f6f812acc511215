package rangeraft

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Report returns what placement decides by: the ranges that are led and served
// here, with their load. It is cheap however many there are: sizes are
// remembered and measured again at a bounded rate, averages are aged by reading
// them.
func (s *Store) Report() []*pontoonpb.RangeStatus {
	var out []*pontoonpb.RangeStatus
	for _, r := range s.all() {
		if r.servingTerm.Load() == 0 {
			continue
		}
		if st := r.status(); st != nil {
			out = append(out, st)
		}
	}
	return out
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
