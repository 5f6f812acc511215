package gaps

import (
	"fmt"
	"io"
	"slices"
)

// Try is one fault and what a client saw of it.
type Try struct {
	Node      string  `json:"node"`
	GapMillis float64 `json:"gap_millis"`
	Failed    int     `json:"failed"`          // requests
	Error     string  `json:"error,omitempty"` // of the last failed one

	err error
}

// Scenario is the tries of one kind of fault.
type Scenario struct {
	Name         string  `json:"name"`
	MedianMillis float64 `json:"median_millis"`
	MaxMillis    float64 `json:"max_millis"`
	BoundMillis  float64 `json:"bound_millis,omitempty"`
	Failed       int     `json:"failed"`
	NoFailures   bool    `json:"no_failures_allowed"`
	Tries        []Try   `json:"tries"`
}

func (s *Scenario) add(t Try) {
	s.Tries = append(s.Tries, t)
	s.Failed += t.Failed
	var gaps []float64
	for _, t := range s.Tries {
		gaps = append(gaps, t.GapMillis)
	}
	slices.Sort(gaps)
	s.MaxMillis = gaps[len(gaps)-1]
	s.MedianMillis = (gaps[(len(gaps)-1)/2] + gaps[len(gaps)/2]) / 2
}

// Err says what the scenario missed.
func (s *Scenario) Err() error {
	if s.BoundMillis > 0 && s.MaxMillis > s.BoundMillis {
		return fmt.Errorf("%s: a gap of %.0f ms, the bound is %.0f ms", s.Name, s.MaxMillis, s.BoundMillis)
	}
	if s.NoFailures && s.Failed > 0 {
		for _, t := range s.Tries {
			if t.Error != "" {
				return fmt.Errorf("%s: %d requests failed, at %s: %s", s.Name, s.Failed, t.Node, t.Error)
			}
		}
	}
	return nil
}

// WriteText prints the scenario in a line.
func (s *Scenario) WriteText(w io.Writer) {
	bound := "no bound"
	if s.BoundMillis > 0 {
		bound = fmt.Sprintf("bound %.0f ms", s.BoundMillis)
	}
	verdict := "ok"
	if err := s.Err(); err != nil {
		verdict = "MISSED"
	}
	fmt.Fprintf(w, "%-15s median %6.0f ms, max %6.0f ms of %d tries, %d requests failed; %s: %s\n",
		s.Name, s.MedianMillis, s.MaxMillis, len(s.Tries), s.Failed, bound, verdict)
}

// Report is a whole measurement.
type Report struct {
	Seed        uint64      `json:"seed"`
	Nodes       int         `json:"nodes"`
	EveryMillis float64     `json:"every_millis"`
	Scenarios   []*Scenario `json:"scenarios"`
}

// Err returns the first bound that was missed.
func (r *Report) Err() error {
	for _, s := range r.Scenarios {
		if err := s.Err(); err != nil {
			return err
		}
	}
	return nil
}

// WriteText prints what the scenarios did not print when they ended.
func (r *Report) WriteText(w io.Writer) {
	for _, s := range r.Scenarios {
		if s.Err() == nil {
			continue
		}
		for _, t := range s.Tries {
			fmt.Fprintf(w, "  %s %s: %.0f ms, %d failed %s\n", s.Name, t.Node, t.GapMillis, t.Failed, t.Error)
		}
	}
}
