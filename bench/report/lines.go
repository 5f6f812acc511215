package report

import (
	"fmt"
	"strings"

	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/stat"
	"github.com/pontoon-kv/pontoon/bench/svg"
)

// clients draws the throughput of puts and of watch fan-out against how many ask.
func (w *writer) clients() {
	w.against("put-clients", "put/256B/c", "puts of 256 B", "clients", "puts/s")
	w.against("put-one-node", "one-node/put/256B/c", "puts of 256 B, one node", "clients", "puts/s")
	w.against("fanout", "watch/fanout/w", "events delivered", "watchers", "events/s")
}

// against draws throughput over the number that ends a workload's name.
func (w *writer) against(file, prefix, title, x, y string) {
	lines := make([]svg.Line, len(w.systems()))
	for i, name := range w.systems() {
		lines[i].Name = name
	}
	for _, c := range w.cells {
		rest, found := strings.CutPrefix(c.Workload, prefix)
		var n int
		if _, err := fmt.Sscanf(rest, "%d", &n); !found || err != nil || fmt.Sprint(n) != rest {
			continue
		}
		for i, of := range []func(result.Metric) stat.Rounds{c.Subject, c.Baseline}[:len(lines)] {
			if r := of(result.Throughput); r.N > 0 {
				lines[i].X, lines[i].Y = append(lines[i].X, float64(n)), append(lines[i].Y, r.Median)
			}
		}
	}
	if len(lines[0].X) < 2 {
		return
	}
	w.image(file, title, svg.Lines(svg.Chart{Title: title, X: x, Y: y, LogX: true, LogY: true, Lines: lines}))
}

// section prints a chapter as it is.
func (w *writer) section(s *result.Section) {
	w.printf("## %s\n\n", s.Title)
	for _, n := range s.Notes {
		w.printf("%s\n\n", n)
	}
	for _, p := range s.Plots {
		chart := svg.Chart{Title: p.Title, X: p.X, Y: p.Y, LogX: p.LogX, LogY: p.LogY}
		for _, series := range p.Series {
			l := svg.Line{Name: series.Name, Reference: series.Reference}
			for _, point := range series.Points {
				l.X, l.Y = append(l.X, point.X), append(l.Y, point.Y)
			}
			chart.Lines = append(chart.Lines, l)
		}
		w.image(s.Name+"-"+p.Name, p.Title, svg.Lines(chart))
	}
	for _, t := range s.Tables {
		if t.Title != "" {
			w.printf("%s:\n\n", t.Title)
		}
		w.table(t.Columns, t.Rows)
	}
}

// benchstat prints every sample that has a throughput as a line of a Go benchmark.
func benchstat(run *result.Run) []byte {
	var b strings.Builder
	for _, s := range run.Samples {
		ops := s.Metrics[result.Throughput]
		if s.Failure != "" || ops <= 0 {
			continue
		}
		fmt.Fprintf(&b, "Benchmark%s/%s %d %.0f ns/op %.4f p50-ms %.4f p99-ms", upperFirst(s.Workload), s.System, s.Count, 1e9/ops,
			s.Metrics[result.P50], s.Metrics[result.P99])
		if cpu, known := s.Metrics[result.CPU]; known {
			fmt.Fprintf(&b, " %.2f cpu-us/op", cpu)
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
