package verify

import "time"

// Run is a complete recorded history with everything needed to judge it.
type Run struct {
	Base    Base        `json:"base"`
	Key     string      `json:"key"` // span of all operations
	End     string      `json:"end"`
	Through Revision    `json:"through"` // every stream must have reached it
	History []Operation `json:"history"`
	Streams []Stream    `json:"streams"`
	Leases  []Lease     `json:"leases"`
}

// Verdict is the outcome of Check.
type Verdict struct {
	Violations []Violation `json:"violations"`
	Operations int         `json:"operations"` // answered
	Unanswered int         `json:"unanswered"` // fate unknown to the client
	Settled    int         `json:"settled"`    // of those, found in the log
	Mutations  int         `json:"mutations"`  // revisions in the log
	Unused     int         `json:"unused"`     // numbers without a change in the span
	Events     int         `json:"events"`     // delivered over all streams
}

// OK says that nothing was violated.
func (v *Verdict) OK() bool { return len(v.Violations) == 0 }

// Check runs every check. search bounds the linearizability search.
func Check(run Run, search time.Duration) Verdict {
	log, violations := BuildLog(run.Base, run.Key, run.End, run.Streams)
	v := Verdict{Violations: violations, Mutations: log.Len(), Unused: log.Unused()}
	for i := range run.History {
		if run.History[i].Outcome == Unknown {
			v.Unanswered++
		} else {
			v.Operations++
		}
	}
	for _, s := range run.Streams {
		for _, r := range s.Responses {
			v.Events += len(r.Events)
		}
	}
	history, unexplained := Resolve(log, run.History, run.Leases)
	for i := range history {
		if history[i].Outcome == Settled && history[i].Client >= 0 {
			v.Settled++
		}
	}
	v.Violations = append(v.Violations, unexplained...)
	v.Violations = append(v.Violations, CheckRevisions(history)...)
	v.Violations = append(v.Violations, CheckReplay(log, history)...)
	v.Violations = append(v.Violations, CheckStreams(log, run.Streams, run.Through)...)
	v.Violations = append(v.Violations, CheckLeases(log, history, run.Leases)...)
	v.Violations = append(v.Violations, CheckLinearizable(run.Base, history, search)...)
	return v
}
