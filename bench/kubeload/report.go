package kubeload

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/stat"
)

// Names in a report that code refers to.
const (
	churnPhase = "3 churn"
	watchEvent = "watch event"
)

// Report is the outcome of a load.
type Report struct {
	Seed            uint64                             `json:"seed"`
	Phases          map[string]map[string]stat.Summary `json:"phases"`
	PhaseSeconds    map[string]float64                 `json:"phase_seconds"`
	Objects         int                                `json:"objects"`          // written to, deleted ones included
	BytesWritten    int64                              `json:"bytes_written"`    // of acknowledged values
	Conflicts       int64                              `json:"conflicts"`        // writes that found another version
	Unanswered      int64                              `json:"unanswered"`       // writes whose fate was unknown
	FailedReads     int64                              `json:"failed_reads"`     // reads without answer
	ValuesVerified  int64                              `json:"values_verified"`  // read or delivered, checksum and history
	ObjectsVerified int                                `json:"objects_verified"` // at the end
	Events          int64                              `json:"events"`           // delivered to informers
	Violations      []string                           `json:"violations"`
	MoreViolations  int                                `json:"more_violations,omitempty"`
}

// Err returns an error if anything that was read was wrong.
func (r *Report) Err() error {
	if n := len(r.Violations) + r.MoreViolations; n > 0 {
		return fmt.Errorf("load: %d violations, the first: %s", n, r.Violations[0])
	}
	return nil
}

// WriteText prints the report for people.
func (r *Report) WriteText(w io.Writer) {
	for _, phase := range slices.Sorted(maps.Keys(r.Phases)) {
		fmt.Fprintf(w, "%s (%.1f s)\n", phase, r.PhaseSeconds[phase])
		for _, op := range slices.Sorted(maps.Keys(r.Phases[phase])) {
			fmt.Fprintf(w, "  %-14s %s\n", op, r.Phases[phase][op])
		}
	}
	fmt.Fprintf(w, "%d objects, %.1f MB written, %d conflicts, %d writes unanswered, %d reads failed\n",
		r.Objects, float64(r.BytesWritten)/1e6, r.Conflicts, r.Unanswered, r.FailedReads)
	fmt.Fprintf(w, "verified: %d values read or delivered (%d events), %d objects at the end, %d violations\n",
		r.ValuesVerified, r.Events, r.ObjectsVerified, len(r.Violations)+r.MoreViolations)
	if len(r.Violations) > 0 {
		fmt.Fprintf(w, "  %s\n", strings.Join(r.Violations, "\n  "))
	}
}

// tally gathers what the workers did. Latencies are kept per phase and
// operation, each with its own lock: workers meet there for nanoseconds.
type tally struct {
	mu      sync.Mutex
	phase   string
	began   time.Time
	latency map[string]map[string]*stat.Histogram
	seconds map[string]float64
	report  Report // counters and violations only
}

func newTally() *tally {
	return &tally{latency: map[string]map[string]*stat.Histogram{}, seconds: map[string]float64{}}
}

// enter starts a phase and returns the function that ends it.
func (t *tally) enter(phase string) (leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase, t.began = phase, time.Now()
	if t.latency[phase] == nil {
		t.latency[phase] = map[string]*stat.Histogram{}
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.seconds[phase] += time.Since(t.began).Seconds()
	}
}

func (t *tally) record(op string, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.latency[t.phase][op]
	if h == nil {
		h = &stat.Histogram{}
		t.latency[t.phase][op] = h
	}
	h.Record(d)
}

// count changes counters under the lock.
func (t *tally) count(change func(*Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.report)
}

const maxViolations = 20

func (t *tally) violation(err error) {
	if err == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.report.Violations) < maxViolations {
		t.report.Violations = append(t.report.Violations, err.Error())
		return
	}
	t.report.MoreViolations++
}

// snapshot returns the report so far.
func (t *tally) snapshot() *Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.report
	r.Violations = slices.Clone(r.Violations)
	r.PhaseSeconds = maps.Clone(t.seconds)
	r.Phases = map[string]map[string]stat.Summary{}
	for phase, ops := range t.latency {
		r.Phases[phase] = map[string]stat.Summary{}
		for op, h := range ops {
			r.Phases[phase][op] = h.Summarize(time.Duration(t.seconds[phase] * float64(time.Second)))
		}
	}
	return &r
}

// Requests returns the latencies of all requests of the churn phase so far,
// whatever they did. Events that informers got are none.
func (l *Loader) Requests() *stat.Histogram {
	l.tally.mu.Lock()
	defer l.tally.mu.Unlock()
	all := &stat.Histogram{}
	for op, h := range l.tally.latency[churnPhase] {
		if op != watchEvent {
			all.Merge(h)
		}
	}
	return all
}
