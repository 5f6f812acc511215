package result

import "github.com/pontoon-kv/pontoon/bench/stat"

// Disturbed is the share of the machine in the hands of others above which a
// sample says as much about them as about a system.
const Disturbed = 0.1

// Cell is one workload in all rounds.
type Cell struct {
	Workload  string
	Unit      string
	Nodes     int
	Disturbed int // samples, of both systems
	Failed    int
	samples   map[string][]Sample // by system
	subject   string
	baseline  string
}

// Cells groups the samples by workload, in the order they were first seen.
func (r *Run) Cells() []*Cell {
	var out []*Cell
	index := map[string]*Cell{}
	baseline := ""
	if r.Baseline != nil {
		baseline = r.Baseline.Name
	}
	for _, s := range r.Samples {
		c := index[s.Workload]
		if c == nil {
			c = &Cell{Workload: s.Workload, Unit: s.Unit, Nodes: s.Nodes, samples: map[string][]Sample{}, subject: r.Subject.Name, baseline: baseline}
			index[s.Workload] = c
			out = append(out, c)
		}
		if s.Failure != "" {
			c.Failed++
			continue // I2
		}
		if s.Metrics[Others] >= Disturbed {
			c.Disturbed++
		}
		c.samples[s.System] = append(c.samples[s.System], s)
	}
	return out
}

// Cell finds a workload; nil: it was not run.
func (r *Run) Cell(workload string) *Cell {
	for _, c := range r.Cells() {
		if c.Workload == workload {
			return c
		}
	}
	return nil
}

// Rounds returns in how many rounds the subject did not fail.
func (c *Cell) Rounds() int { return len(c.samples[c.subject]) }

// Subject returns a metric of the subject over the rounds.
func (c *Cell) Subject(m Metric) stat.Rounds { return c.of(c.subject, m) }

// Baseline returns a metric of the baseline over the rounds.
func (c *Cell) Baseline(m Metric) stat.Rounds { return c.of(c.baseline, m) }

func (c *Cell) of(system string, m Metric) stat.Rounds {
	var values []float64
	for _, s := range c.samples[system] {
		if v, measured := s.Metrics[m]; measured {
			values = append(values, v)
		}
	}
	return stat.OverRounds(values)
}

// Ratio returns subject / baseline of a metric over the rounds (I3).
func (c *Cell) Ratio(m Metric) stat.Rounds {
	return c.pairs(m, func(s, b float64) (float64, bool) { return s / b, b > 0 })
}

// Difference returns subject - baseline of a metric over the rounds (I3).
func (c *Cell) Difference(m Metric) stat.Rounds {
	return c.pairs(m, func(s, b float64) (float64, bool) { return s - b, true })
}

func (c *Cell) pairs(m Metric, f func(subject, baseline float64) (float64, bool)) stat.Rounds {
	return stat.OverRounds(pairs(c.samples[c.subject], c.samples[c.baseline], m, f))
}

// Against returns a metric of one system in this workload / in another one of
// the same round, over the rounds: what compaction does to puts, for example.
func (c *Cell) Against(other *Cell, system string, m Metric) stat.Rounds {
	return stat.OverRounds(pairs(c.samples[system], other.samples[system], m,
		func(a, b float64) (float64, bool) { return a / b, b > 0 }))
}

// pairs joins the samples of a round.
func pairs(as, bs []Sample, m Metric, f func(a, b float64) (float64, bool)) (out []float64) {
	for _, a := range as {
		for _, b := range bs {
			va, okA := a.Metrics[m]
			vb, okB := b.Metrics[m]
			if a.Round != b.Round || !okA || !okB {
				continue
			}
			if v, ok := f(va, vb); ok {
				out = append(out, v)
			}
		}
	}
	return out
}
