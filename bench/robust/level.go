package robust

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pontoon-kv/pontoon/bench/svg"
)

// Level is what the nodes of a run took over its time, and whether that grew.
type Level struct {
	Samples    []Sample  `json:"samples"`
	Quantities []Quarter `json:"quantities"`
	Violations []string  `json:"violations"`
}

// Quarter compares one quantity, medians of each node added up, in the second
// quarter of a run and in its last. The first is for growing to working size.
type Quarter struct {
	Name   string `json:"name"`
	Second int64  `json:"second"`
	Last   int64  `json:"last"`
}

// quantity is one of a sample, and how far it may grow: by a quarter, or by so
// much.
type quantity struct {
	name, unit string
	of         func(Sample) int64
	scale      float64 // of the plot
	slack      int64
}

var quantities = []quantity{
	{"memory", "MiB", func(s Sample) int64 { return s.Memory }, 1 << 20, 96 << 20},
	{"goroutines", "", func(s Sample) int64 { return s.Goroutines }, 1, 150},
	{"open files", "", func(s Sample) int64 { return s.Files }, 1, 60},
	{"disk", "MiB", func(s Sample) int64 { return s.Disk }, 1 << 20, 256 << 20},
}

// judge compares quarters. What grew is a violation if it must not.
func (l *Level) judge(strict bool) *Level {
	if len(l.Samples) == 0 {
		l.Violations = append(l.Violations, "level: no node was ever looked at")
		return l
	}
	end := l.Samples[len(l.Samples)-1].Seconds
	for _, q := range quantities {
		c := Quarter{q.name, l.sum(q, end/4, end/2), l.sum(q, end*3/4, end)}
		l.Quantities = append(l.Quantities, c)
		if strict && c.Last > max(c.Second*5/4, c.Second+q.slack) {
			l.Violations = append(l.Violations, fmt.Sprintf("level: %s grew from %d to %d", q.name, c.Second, c.Last))
		}
	}
	return l
}

// sum adds up each node's median between two moments.
func (l *Level) sum(q quantity, from, to float64) (total int64) {
	of := map[string][]int64{}
	for _, s := range l.Samples {
		if s.Seconds >= from && s.Seconds <= to {
			of[s.Node] = append(of[s.Node], q.of(s))
		}
	}
	for _, values := range of {
		slices.Sort(values)
		total += values[len(values)/2]
	}
	return total
}

// WriteText prints the comparison.
func (l *Level) WriteText(w io.Writer) {
	for _, c := range l.Quantities {
		fmt.Fprintf(w, "%s of all nodes: %d in the second quarter, %d in the last\n", c.Name, c.Second, c.Last)
	}
	for _, v := range l.Violations {
		fmt.Fprintf(w, "  %s\n", v)
	}
}

// write leaves the samples and a plot of each quantity in a directory.
func (l *Level) write(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, q := range quantities {
		chart := svg.Chart{Title: q.name + " of each node", X: "minutes", Y: q.unit, Lines: l.lines(q)}
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(q.name, " ", "-")+".svg"), svg.Lines(chart), 0o644); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "level.json"), data, 0o644)
}

func (l *Level) lines(q quantity) (lines []svg.Line) {
	at := map[string]int{}
	for _, s := range l.Samples {
		i, ok := at[s.Node]
		if !ok {
			i = len(lines)
			at[s.Node] = i
			lines = append(lines, svg.Line{Name: s.Node})
		}
		lines[i].X = append(lines[i].X, s.Seconds/60)
		lines[i].Y = append(lines[i].Y, float64(q.of(s))/q.scale)
	}
	return lines
}
