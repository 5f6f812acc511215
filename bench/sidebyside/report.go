package sidebyside

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// Cell is one measurement of one system.
type Cell struct {
	Op      string `json:"op"`
	Clients int    `json:"clients"`
	stat.Summary
	CPU CPU `json:"cpu"`
}

// Ratio compares one cell of both systems: above 1 the subject is better in
// throughput, worse in latency.
type Ratio struct {
	Op         string  `json:"op"`
	Clients    int     `json:"clients"`
	Throughput float64 `json:"throughput"`
	P50        float64 `json:"p50"`
	P99        float64 `json:"p99"`
}

// Round is one interleaved round.
type Round struct {
	Baseline []Cell  `json:"baseline"`
	Subject  []Cell  `json:"subject"`
	Ratios   []Ratio `json:"ratios"`
}

// Setup is what was compared how.
type Setup struct {
	Subject     cluster.Kind `json:"subject"`
	Baseline    cluster.Kind `json:"baseline"`
	Nodes       int          `json:"nodes"`
	Ranges      int          `json:"ranges"`
	Connections int          `json:"connections"`
	Keys        int          `json:"keys"`
	ValueSize   int          `json:"value_size"`
	CellSeconds float64      `json:"cell_seconds"`
}

func describe(o *Options) Setup {
	return Setup{o.Subject.Kind, o.Baseline.Kind, o.Nodes, o.Ranges, o.Connections, o.Keys, o.ValueSize, o.Cell.Seconds()}
}

// Report is the outcome of a comparison.
type Report struct {
	Options Setup   `json:"options"`
	Rounds  []Round `json:"rounds"`
	Median  []Ratio `json:"median"`
}

func (r *Report) addRound(out io.Writer, n int, baseline, subject []Cell) {
	round := Round{Baseline: baseline, Subject: subject}
	for i, b := range baseline {
		s := subject[i]
		ratio := Ratio{
			Op: b.Op, Clients: b.Clients,
			Throughput: div(s.PerSecond, b.PerSecond), P50: div(s.P50Ms, b.P50Ms), P99: div(s.P99Ms, b.P99Ms),
		}
		round.Ratios = append(round.Ratios, ratio)
		fmt.Fprintf(out, "round %d %s %4d clients: %s %s | %s %s | ratio %.2f%s\n",
			n+1, b.Op, b.Clients, r.Options.Baseline, b.line(), r.Options.Subject, s.line(), ratio.Throughput, disturbed(b, s))
	}
	r.Rounds = append(r.Rounds, round)
}

func (c Cell) line() string {
	return fmt.Sprintf("%8.0f/s p50 %7.2f p99 %7.2f ms cpu %3.0f%%", c.PerSecond, c.P50Ms, c.P99Ms, c.CPU.Nodes*100)
}

// disturbed says if something else used the machine while one was measured.
func disturbed(cells ...Cell) string {
	worst := 0.0
	for _, c := range cells {
		worst = max(worst, c.CPU.Others)
	}
	if worst < 0.1 {
		return ""
	}
	return fmt.Sprintf(" (disturbed: other processes used %.0f%% of the machine)", worst*100)
}

func div(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// summarize computes the median over rounds of each ratio.
func (r *Report) summarize() {
	if len(r.Rounds) == 0 {
		return
	}
	for i, first := range r.Rounds[0].Ratios {
		over := func(field func(Ratio) float64) float64 {
			var all []float64
			for _, round := range r.Rounds {
				all = append(all, field(round.Ratios[i]))
			}
			return median(all)
		}
		r.Median = append(r.Median, Ratio{
			Op: first.Op, Clients: first.Clients,
			Throughput: over(func(x Ratio) float64 { return x.Throughput }),
			P50:        over(func(x Ratio) float64 { return x.P50 }),
			P99:        over(func(x Ratio) float64 { return x.P99 }),
		})
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	if n%2 == 1 {
		return all[n/2]
	}
	return (all[n/2-1] + all[n/2]) / 2
}

// below returns an error for every median throughput ratio under the floor.
func (r *Report) below(floor float64) error {
	var errs []error
	for _, m := range r.Median {
		if m.Throughput < floor {
			errs = append(errs, fmt.Errorf("%s with %d clients: %.2f times %s, at least %.2f wanted",
				m.Op, m.Clients, m.Throughput, r.Options.Baseline, floor))
		}
	}
	return errors.Join(errs...)
}

// WriteText prints the medians.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "median over %d rounds, %s relative to %s\n", len(r.Rounds), r.Options.Subject, r.Options.Baseline)
	for _, m := range r.Median {
		fmt.Fprintf(w, "  %s %4d clients: throughput %.2f, p50 %.2f, p99 %.2f\n", m.Op, m.Clients, m.Throughput, m.P50, m.P99)
	}
}
