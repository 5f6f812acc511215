package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pontoon-kv/pontoon/bench/result"
)

// Names of the files that commands read again.
const (
	Raw    = "raw.json"
	Report = "report.md"
)

// Render returns all files of a report by name.
func Render(run *result.Run) (map[string][]byte, error) {
	w := &writer{run: run, cells: run.Cells(), files: map[string][]byte{}}
	w.head()
	w.goals()
	w.failures()
	w.throughput()
	w.latency()
	w.cost()
	w.clients()
	for i := range run.Sections {
		w.section(&run.Sections[i])
	}
	w.about()
	w.files[Report] = []byte(w.md.String())
	w.files["bench.txt"] = benchstat(run)
	raw, err := json.MarshalIndent(run, "", " ")
	if err != nil {
		return nil, err
	}
	w.files[Raw] = append(raw, '\n')
	return w.files, nil
}

// Write renders a run into a directory.
func Write(dir string, run *result.Run) error {
	files, err := Render(run)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writer gathers the text of a report.
type writer struct {
	run   *result.Run
	cells []*result.Cell
	files map[string][]byte
	md    strings.Builder
}

func (w *writer) printf(format string, args ...any) { fmt.Fprintf(&w.md, format, args...) }

// table writes rows; the first column is flush left, the others right.
func (w *writer) table(columns []string, rows [][]string) {
	w.printf("| %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)-1))
	for _, r := range rows {
		w.printf("| %s |\n", strings.Join(r, " | "))
	}
	w.printf("\n")
}

// image adds a file and shows it.
func (w *writer) image(name, alt string, content []byte) {
	w.files[name+".svg"] = content
	w.printf("![%s](%s.svg)\n\n", alt, name)
}

// baseline says whether there is something to compare with, by name.
func (w *writer) baseline() (string, bool) {
	if w.run.Baseline == nil {
		return "", false
	}
	return w.run.Baseline.Name, true
}
