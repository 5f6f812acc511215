package report

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/bench/goals"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/stat"
	"github.com/pontoon-kv/pontoon/bench/svg"
)

// spread prints a median and, of several rounds, from where to where they lie.
func spread(r stat.Rounds) string {
	switch r.N {
	case 0:
		return "–"
	case 1:
		return goals.Number(r.Median)
	}
	return fmt.Sprintf("%s (%s..%s)", goals.Number(r.Median), goals.Number(r.Min), goals.Number(r.Max))
}

// middle prints a median alone.
func middle(r stat.Rounds) string {
	if r.N == 0 {
		return "–"
	}
	return goals.Number(r.Median)
}

// megabytes prints a size.
func megabytes(r stat.Rounds) string {
	if r.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MB", r.Median/1e6)
}

// throughput compares operations per second.
func (w *writer) throughput() {
	w.printf("## Throughput\n\n")
	w.ratios("throughput", result.Throughput, "throughput")
	columns := []string{"workload", "unit", w.run.Subject.Name + " /s"}
	base, beside := w.baseline()
	if beside {
		columns = append(columns, base+" /s", "ratio")
	}
	var rows [][]string
	for _, c := range w.cells {
		if c.Failed == 0 && c.Subject(result.Throughput).N == 0 { // it has a pace
			continue
		}
		row := []string{c.Workload, c.Unit, middle(c.Subject(result.Throughput))}
		if beside {
			row = append(row, middle(c.Baseline(result.Throughput)), spread(c.Ratio(result.Throughput)))
		}
		rows = append(rows, row)
	}
	w.table(columns, rows)
}

// ratios draws the ratio of a metric for every workload that has it.
func (w *writer) ratios(file string, m result.Metric, what string) {
	base, beside := w.baseline()
	if !beside {
		return
	}
	def := result.Define(m)
	var bars []svg.Bar
	for _, c := range w.cells {
		r := c.Ratio(m)
		if r.N == 0 {
			continue
		}
		bars = append(bars, svg.Bar{Label: c.Workload, Value: r.Median, Low: r.Min, High: r.Max, Good: r.Median >= 1 == def.HigherIsBetter})
	}
	better := "less is better"
	if def.HigherIsBetter {
		better = "more is better"
	}
	title := fmt.Sprintf("%s: %s / %s", what, w.run.Subject.Name, base)
	if len(bars) > 0 {
		w.image(file, title, svg.Bars(title, better+"; blue: better than "+base, bars))
	}
}

// latency lists quantiles.
func (w *writer) latency() {
	w.printf("## Latency\n\n")
	systems := w.systems()
	var spans []svg.SpanRow
	var rows [][]string
	for _, c := range w.cells {
		row := svg.SpanRow{Label: c.Workload}
		for i, name := range systems {
			of := c.Subject
			if i == 1 {
				of = c.Baseline
			}
			row.Spans = append(row.Spans, svg.Span{P50: of(result.P50).Median, P99: of(result.P99).Median, P999: of(result.P999).Median})
			cells := []string{c.Workload, name}
			for _, m := range []result.Metric{result.P50, result.P90, result.P99, result.P999, result.Max} {
				cells = append(cells, middle(of(m)))
			}
			for _, m := range []result.Metric{result.P50, result.P99} {
				ratio := ""
				if i == 0 && len(systems) > 1 {
					ratio = spread(c.Ratio(m))
				}
				cells = append(cells, ratio)
			}
			rows = append(rows, cells)
		}
		spans = append(spans, row)
	}
	w.image("latency", "latency per workload", svg.Spans("Latency, medians over the rounds", systems, spans))
	w.table([]string{"workload", "system", "p50 ms", "p90", "p99", "p99.9", "max", "ratio of p50", "ratio of p99"}, rows)
}

func (w *writer) systems() []string {
	names := []string{w.run.Subject.Name}
	if base, beside := w.baseline(); beside {
		names = append(names, base)
	}
	return names
}

// cost lists what servers used per operation.
func (w *writer) cost() {
	var rows [][]string
	for _, c := range w.cells {
		for i, name := range w.systems() {
			of := c.Subject
			if i == 1 {
				of = c.Baseline
			}
			if of(result.CPU).N == 0 {
				continue
			}
			ratio := ""
			if i == 0 && w.run.Baseline != nil {
				ratio = spread(c.Ratio(result.CPU))
			}
			rows = append(rows, []string{c.Workload, name, middle(of(result.CPU)), ratio, middle(of(result.Allocated)), middle(of(result.Syncs)),
				middle(of(result.WriteAmp)), megabytes(of(result.Resident)), megabytes(of(result.Disk))})
		}
	}
	if len(rows) == 0 {
		return
	}
	w.printf("## What servers used\n\n")
	w.ratios("cpu", result.CPU, "server CPU per operation")
	w.table([]string{"workload", "system", "CPU us/op", "ratio of CPU", "allocated B/op", "syncs/op", "write amp", "RSS", "disk"}, rows)
}
