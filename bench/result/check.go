package result

import "fmt"

// Change is a metric of a workload that differs between two runs.
type Change struct {
	Workload string  `json:"workload"`
	Metric   Metric  `json:"metric"`
	Compared string  `json:"compared"` // ratio to the baseline, or the figure itself
	Before   float64 `json:"before"`   // medians
	After    float64 `json:"after"`
	Worse    bool    `json:"worse"`
}

func (c Change) String() string {
	word := "better"
	if c.Worse {
		word = "WORSE"
	}
	return fmt.Sprintf("%-6s %-28s %-20s %10.3f -> %10.3f (%+.0f%%, %s)", word, c.Workload, c.Metric, c.Before, c.After, 100*(c.After/c.Before-1), c.Compared)
}

// Limits is by what share a metric has to differ to be a change.
type Limits map[Metric]float64

// DefaultLimits are wider for what depends on few requests.
func DefaultLimits() Limits {
	return Limits{Throughput: 0.1, CPU: 0.1, P50: 0.15, P99: 0.3, Allocated: 0.1}
}

// fewRounds is a number of rounds with which two runs may differ by chance in
// all of them: the limits are doubled.
const fewRounds = 3

// Check compares two runs. If both have a baseline, what is compared are the
// ratios to it, which a slower day does not change. A change is a median that
// differs by more than its limit while the rounds of both runs do not overlap:
// with five rounds each that happens by chance once in 126 times.
func Check(before, after *Run, limits Limits) (changes []Change, compared int) {
	ratio := before.Baseline != nil && after.Baseline != nil
	for _, a := range after.Cells() {
		b := before.Cell(a.Workload)
		if b == nil {
			continue
		}
		for _, d := range Definitions {
			limit, checked := limits[d.Metric]
			if !checked {
				continue
			}
			old, now, what := b.Subject(d.Metric), a.Subject(d.Metric), "figure"
			if ratio {
				old, now, what = b.Ratio(d.Metric), a.Ratio(d.Metric), "ratio"
			}
			if old.N == 0 || now.N == 0 || old.Median <= 0 {
				continue
			}
			compared++
			if old.N <= fewRounds || now.N <= fewRounds {
				limit *= 2
			}
			change := now.Median/old.Median - 1
			if old.Max >= now.Min && now.Max >= old.Min || change < limit && -change < limit {
				continue
			}
			changes = append(changes, Change{a.Workload, d.Metric, what, old.Median, now.Median, change < 0 == d.HigherIsBetter})
		}
	}
	return changes, compared
}

// Lost returns workloads that the later run has not, or only failures of.
func Lost(before, after *Run) (names []string) {
	for _, b := range before.Cells() {
		if b.Rounds() == 0 {
			continue
		}
		if a := after.Cell(b.Workload); a == nil || a.Rounds() == 0 {
			names = append(names, b.Workload)
		}
	}
	return names
}
