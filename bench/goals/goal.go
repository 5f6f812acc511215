package goals

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// How says what a goal compares.
type How string

// The ways to compare.
const (
	Ratio      How = "ratio"      // Pontoon / etcd
	Difference How = "difference" // Pontoon - etcd
	Self       How = "self"       // Pontoon / Pontoon at rest (the workload's /rest)
	Figure     How = "figure"     // of a section
)

// Goal is one row of the table.
type Goal struct {
	Title string
	How   How
	// Workloads whose Metric is compared; for Figure, names of figures.
	Workloads []string
	Metric    result.Metric
	// Floor must be reached and Aim should be. Least: they are minima, else
	// maxima.
	Floor, Aim float64
	Least      bool
	// Stated: there is no floor; the figure is only stated.
	Stated bool
	Unit   string // of Floor and Aim; "" for ratios
}

// Verdict is what became of a goal.
type Verdict string

// The verdicts.
const (
	NotMeasured Verdict = "not measured"
	Missed      Verdict = "missed"
	Met         Verdict = "met"
	AimMet      Verdict = "aim met"
	JustStated  Verdict = "stated"
)

// Judgement is a goal and what was measured.
type Judgement struct {
	Goal     Goal
	Measured stat.Rounds // of the worst workload
	Workload string      // that one
	Verdict  Verdict
	// Beside is the same figure of etcd, for Self.
	Beside *stat.Rounds
}

// Judge compares a run with all goals.
func Judge(run *result.Run, table []Goal) (out []Judgement) {
	for _, g := range table {
		out = append(out, g.judge(run))
	}
	return out
}

func (g Goal) judge(run *result.Run) Judgement {
	j := Judgement{Goal: g}
	for _, name := range g.Workloads {
		measured, beside := g.measured(run, name)
		if measured.N == 0 {
			return Judgement{Goal: g, Workload: name, Verdict: NotMeasured} // I2
		}
		if j.Measured.N == 0 || g.worse(measured.Median, j.Measured.Median) { // I1
			j.Measured, j.Workload, j.Beside = measured, name, beside
		}
	}
	switch {
	case g.reaches(j.Measured.Median, g.Aim):
		j.Verdict = AimMet
	case g.Stated:
		j.Verdict = JustStated
	case g.reaches(j.Measured.Median, g.Floor):
		j.Verdict = Met
	default:
		j.Verdict = Missed
	}
	return j
}

func (g Goal) worse(a, b float64) bool { return a < b == g.Least && a != b }

func (g Goal) reaches(v, bound float64) bool {
	if g.Least {
		return v >= bound
	}
	return v <= bound
}

// measured returns the figure of one workload and, for Self, etcd's.
func (g Goal) measured(run *result.Run, name string) (stat.Rounds, *stat.Rounds) {
	if g.How == Figure {
		v, found := run.Figure(name)
		if !found {
			return stat.Rounds{}, nil
		}
		return stat.OverRounds([]float64{v}), nil
	}
	cell := run.Cell(name)
	if cell == nil {
		return stat.Rounds{}, nil
	}
	switch g.How {
	case Ratio:
		return cell.Ratio(g.Metric), nil
	case Difference:
		return cell.Difference(g.Metric), nil
	case Self:
		rest := run.Cell(name + "/rest")
		if rest == nil {
			return stat.Rounds{}, nil
		}
		var beside *stat.Rounds
		if run.Baseline != nil {
			if b := cell.Against(rest, run.Baseline.Name, g.Metric); b.N > 0 {
				beside = &b
			}
		}
		return cell.Against(rest, run.Subject.Name, g.Metric), beside
	}
	return stat.Rounds{}, nil
}

// Bound prints a floor or an aim.
func (g Goal) Bound(v float64) string {
	sign := "<="
	if g.Least {
		sign = ">="
	}
	return fmt.Sprintf("%s %s%s", sign, Number(v), g.Unit)
}

// FloorText prints the floor, if there is one.
func (g Goal) FloorText() string {
	if g.Stated {
		return "stated"
	}
	return g.Bound(g.Floor)
}

// Number prints a figure with three digits that matter.
func Number(v float64) string {
	switch {
	case v >= 1e6 || v <= -1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
