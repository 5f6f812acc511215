package robust

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/verify"
)

// RoundReport is the outcome of one round.
type RoundReport struct {
	Round int `json:"round"`
	verify.Verdict
	Refused             map[string]int `json:"refused"` // by error
	FailedReads         int            `json:"failed_reads"`
	Leases              int            `json:"leases"`
	Faults              map[string]int `json:"faults"`
	LongestStallSeconds float64        `json:"longest_stall_seconds"` // without any answer to anyone
	CheckSeconds        float64        `json:"check_seconds"`
	HistoryFile         string         `json:"history_file,omitempty"` // of a round with violations
}

// WriteText prints the round in a few lines.
func (r *RoundReport) WriteText(w io.Writer) {
	verdict := "ok"
	if !r.OK() {
		verdict = fmt.Sprintf("%d VIOLATIONS", len(r.Violations))
	}
	fmt.Fprintf(w, "round %d: %s; %d answered, %d unanswered (%d took effect), %d reads failed; %d mutations, %d unused numbers, %d events, %d leases; longest stall %.1f s; checked in %.1f s; faults: %s; refused: %s\n",
		r.Round, verdict, r.Operations, r.Unanswered, r.Settled, r.FailedReads,
		r.Mutations, r.Unused, r.Events, r.Leases, r.LongestStallSeconds, r.CheckSeconds, counted(r.Faults), counted(r.Refused))
	for _, v := range r.Violations {
		fmt.Fprintf(w, "  %s\n", v)
	}
	if r.HistoryFile != "" {
		fmt.Fprintf(w, "  history: %s\n", r.HistoryFile)
	}
}

// counted prints counters in the order of their names.
func counted(m map[string]int) string {
	if len(m) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(parts, ", ")
}

// Report is the outcome of a run.
type Report struct {
	Kind       cluster.Kind   `json:"kind"`
	Mode       Mode           `json:"mode"`
	Seed       uint64         `json:"seed"`
	Nodes      int            `json:"nodes"`
	Clients    int            `json:"clients"`
	Rounds     []*RoundReport `json:"rounds"`
	Operations int            `json:"operations"`
	Faults     int            `json:"faults"`
	Kinds      map[string]int `json:"kinds"`              // of faults, those that did not happen too
	LeftOut    []string       `json:"left_out,omitempty"` // kinds that this machine cannot do
	Violations int            `json:"violations"`
	Level      *Level         `json:"level,omitempty"` // what the nodes took, if somebody looked
	Final      *Final         `json:"final,omitempty"` // of a run that came to its end
}

// expect takes down what may happen in the run, none of it so far.
func (r *Report) expect(kinds []fault) {
	r.Kinds = map[string]int{}
	for _, k := range kinds {
		r.Kinds[k.name] = 0
	}
}

func (r *Report) add(one *RoundReport) {
	r.Rounds = append(r.Rounds, one)
	r.Operations += one.Operations
	r.Violations += len(one.Violations)
	for kind, n := range one.Faults {
		r.Faults += n
		r.Kinds[kind] += n
	}
}

// Err returns the first violation as an error, nil if there is none.
func (r *Report) Err() error {
	for _, one := range r.Rounds {
		if !one.OK() {
			return fmt.Errorf("seed %d, round %d: %d violations, the first: %s", r.Seed, one.Round, len(one.Violations), one.Violations[0])
		}
	}
	if l := r.Level; l != nil && len(l.Violations) > 0 {
		return fmt.Errorf("seed %d: %d violations, the first: %s", r.Seed, len(l.Violations), l.Violations[0])
	}
	if f := r.Final; f != nil && len(f.Violations) > 0 {
		return fmt.Errorf("seed %d, at rest: %d violations, the first: %s", r.Seed, len(f.Violations), f.Violations[0])
	}
	return nil
}

// WriteText prints the summary.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "robust %s, mode %s: %d rounds, %d operations answered, %d faults, %d violations, seed %d\n",
		r.Kind, r.Mode, len(r.Rounds), r.Operations, r.Faults, r.Violations, r.Seed)
	fmt.Fprintf(w, "faults: %s\n", counted(r.Kinds))
	if r.Level != nil {
		r.Level.WriteText(w)
	}
	if len(r.LeftOut) > 0 {
		fmt.Fprintf(w, "left out: %s\n", strings.Join(r.LeftOut, ", "))
	}
}
