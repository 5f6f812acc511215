package stat

import "slices"

// Rounds summarises one figure over the rounds of a run.
type Rounds struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// OverRounds condenses the figure of each round. The spread is the whole span
// from least to most: there are too few rounds for anything finer.
func OverRounds(values []float64) Rounds {
	if len(values) == 0 {
		return Rounds{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	r := Rounds{N: n, Median: sorted[n/2], Min: sorted[0], Max: sorted[n-1]}
	if n%2 == 0 {
		r.Median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return r
}

// Apart says whether the spans of two figures do not touch.
func Apart(a, b Rounds) bool { return a.Max < b.Min || b.Max < a.Min }
