package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/bench/goals"
	"github.com/pontoon-kv/pontoon/bench/result"
)

// head says what was measured where.
func (w *writer) head() {
	r, s, m := w.run, w.run.Settings, w.run.Machine
	title := r.Subject.Name
	if name, ok := w.baseline(); ok {
		title += " beside " + name
	}
	w.printf("# %s, %s\n\n", title, r.Began.Format(time.DateOnly))
	if s.Quick {
		w.printf("A quick run: few workloads, short windows, small sizes. The full one says more.\n\n")
	}
	rows := [][]string{
		{r.Subject.Name, describe(r.Subject)},
	}
	if r.Baseline != nil {
		rows = append(rows, []string{r.Baseline.Name, describe(*r.Baseline)})
	}
	rows = append(rows,
		[]string{"machine", fmt.Sprintf("%d cores, %s, %d GB, %s", m.Cores, orUnknown(m.CPU), m.MemoryGB, m.OS)},
		[]string{"file system", orUnknown(m.FileSystem) + ", both sync"},
		[]string{"rounds", fmt.Sprintf("%d, interleaved; %g s measured after %g s of warm-up each", s.Rounds, s.WindowSeconds, s.WarmupSeconds)},
		[]string{"clients", fmt.Sprintf("closed loops over %d connections of the official client, spread over the nodes", s.Connections)},
		[]string{"command", "`" + r.Command + "`"},
		[]string{"took", time.Duration(r.Seconds * float64(time.Second)).Round(time.Second).String()},
	)
	w.printf("| | |\n|---|---|\n")
	for _, row := range rows {
		w.printf("| %s | %s |\n", row[0], row[1])
	}
	w.printf("\nClients and servers share the machine. Ratios pair the samples of one round; a figure is the median over the rounds, "+
		"in parentheses from least to most. A sample during which other processes used a tenth of the machine or more counts as disturbed: %d of %d were.\n\n",
		w.disturbed(), len(r.Samples))
}

func (w *writer) disturbed() (n int) {
	for _, c := range w.cells {
		n += c.Disturbed
	}
	return n
}

func describe(s result.System) string {
	var parts []string
	if v := s.Build.Version; v != "" && v != "(devel)" {
		parts = append(parts, v)
	}
	if c := s.Build.Commit; c != "" {
		c = "commit " + c[:min(12, len(c))]
		if s.Build.Changed {
			c += ", with changes"
		}
		parts = append(parts, c)
	}
	if s.Build.Go != "" {
		parts = append(parts, s.Build.Go)
	}
	if len(parts) == 0 {
		return "elsewhere, build unknown"
	}
	return strings.Join(parts, ", ")
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// goals judges the run.
func (w *writer) goals() {
	if w.run.Baseline == nil {
		return
	}
	w.printf("## Goals\n\n")
	var rows [][]string
	for _, j := range goals.Judge(w.run, goals.Table) {
		g := j.Goal
		measured, where := "", j.Workload
		if j.Verdict != goals.NotMeasured {
			measured = spread(j.Measured) + g.Unit
		}
		if j.Beside != nil {
			measured += fmt.Sprintf(", %s %s", w.run.Baseline.Name, spread(*j.Beside))
		}
		verdict := string(j.Verdict)
		if j.Verdict == goals.Missed {
			verdict = "**" + verdict + "**"
		}
		rows = append(rows, []string{g.Title, g.FloorText(), g.Bound(g.Aim), measured, where, verdict})
	}
	w.table([]string{"goal", "floor", "aim", "measured", "where (the worst)", "verdict"}, rows)
}

// failures lists what did not work (I2).
func (w *writer) failures() {
	failures := w.run.Failures()
	if len(failures) == 0 {
		return
	}
	w.printf("## Failed\n\n")
	for _, f := range failures {
		w.printf("- %s\n", strings.ReplaceAll(f, "\n", "; "))
	}
	w.printf("\n")
}

// about says what the workloads do and the metrics mean.
func (w *writer) about() {
	w.printf("## What was measured\n\n")
	for _, c := range w.cells {
		if about := w.run.About[c.Workload]; about != "" {
			w.printf("- `%s`: %s\n", c.Workload, about)
		}
	}
	w.printf("\n")
	for _, d := range result.Definitions {
		w.printf("- %s: %s\n", d.Title, d.Help)
	}
}
