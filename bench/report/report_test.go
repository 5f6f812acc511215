package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/measure"
	"github.com/pontoon-kv/pontoon/bench/result"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example is a small run with everything that a report can show.
func example() *result.Run {
	r := &result.Run{
		Format: result.Format, Began: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), Seconds: 83, Command: "pontoon bench run",
		Machine:  measure.Machine{OS: "linux/amd64 6.1", CPU: "A CPU", Cores: 2, MemoryGB: 16, FileSystem: "ext4"},
		Subject:  result.System{Name: "pontoon", Build: measure.Build{Version: "(devel)", Commit: "0123456789abcdef", Changed: true, Go: "go1.26"}},
		Baseline: &result.System{Name: "etcd", Build: measure.Build{Version: "v3.7.3", Go: "go1.26"}},
		Settings: result.Settings{Quick: true, Rounds: 3, WindowSeconds: 3, WarmupSeconds: 1, Connections: 48, Seed: 1},
		About:    map[string]string{"put/256B/c64": "puts"},
	}
	for round := range 3 {
		for i, system := range []string{"pontoon", "etcd"} {
			f := float64(round+2) / float64(i+1)
			for _, w := range []string{"put/256B/c64", "put/256B/c512", "compact/1000000/c64", "compact/1000000/c64/rest"} {
				f := f
				if w == "compact/1000000/c64" && system == "pontoon" {
					f /= 2 // twice as slow as at rest
				}
				r.Samples = append(r.Samples, result.Sample{Workload: w, Unit: "put", Nodes: 3, System: system, Round: round, Count: 1000,
					Metrics: map[result.Metric]float64{result.Throughput: 1000 * f, result.P50: 1 / f, result.P90: 2 / f, result.P99: 3 / f, result.P999: 4 / f,
						result.Max: 5 / f, result.CPU: 90 / f, result.Others: 0.06 * f}})
			}
		}
	}
	r.Samples = append(r.Samples, result.Sample{Workload: "txn/cas/c64", Unit: "txn", System: "pontoon", Failure: "3 of 9 requests failed\nthe first: no"})
	r.Sections = []result.Section{{
		Name: "limits", Title: "Physical limits", Notes: []string{"Measured in the same run."},
		Tables:  []result.Table{{Title: "Echo", Columns: []string{"clients", "/s"}, Rows: [][]string{{"64", "40000"}}}},
		Plots:   []result.Plot{{Name: "echo", Title: "Echo", X: "clients", Y: "/s", Series: []result.Series{{Name: "echo", Points: []result.Point{{X: 1, Y: 2}, {X: 2, Y: 3}}}}}},
		Figures: map[string]float64{"sequencer.revisions_per_core": 2.5e6},
	}}
	return r
}

// The whole report is as in testdata; -update writes it anew.
func TestGolden(t *testing.T) {
	files, err := Render(example())
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range files {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s differs:\n%s", name, got)
		}
	}
}

func TestReportTellsWhatMatters(t *testing.T) {
	files, err := Render(example())
	if err != nil {
		t.Fatal(err)
	}
	md := string(files[Report])
	for _, want := range []string{
		"| put/256B/c64 | put | 3000 | 1500 | 2.00 (2.00..2.00) |", // medians and the ratio per pair
		"commit 0123456789ab, with changes",
		"3 of 9 requests failed; the first: no",
		"| sequencer alone", "2.5 M/s",
		"of 25 were", // disturbed
		"2.00 (2.00..2.00), etcd 1.00 (1.00..1.00) | compact/1000000/c64 | **missed** |",
		"not measured", "](limits-echo.svg)",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in\n%s", want, md)
		}
	}
	for line := range strings.Lines(md) {
		_, rest, found := strings.Cut(line, "](")
		if !found {
			continue
		}
		name, _, _ := strings.Cut(rest, ")")
		if files[name] == nil {
			t.Errorf("no file %s", name)
		}
	}
}

// A run of one system, at endpoints elsewhere, has no ratios and no costs.
func TestAlone(t *testing.T) {
	r := example()
	r.Baseline = nil
	var own []result.Sample
	for _, s := range r.Samples {
		if delete(s.Metrics, result.CPU); s.System == "pontoon" {
			own = append(own, s)
		}
	}
	r.Samples = own
	files, err := Render(r)
	if err != nil {
		t.Fatal(err)
	}
	md := string(files[Report])
	for _, absent := range []string{"## Goals", "ratio |", "## What servers used"} {
		if strings.Contains(md, absent) {
			t.Errorf("%q in\n%s", absent, md)
		}
	}
	if files["throughput.svg"] != nil || !strings.Contains(md, "| put/256B/c64 | put | 3000 |") {
		t.Errorf("%s", md)
	}
}

func TestWriteCanBeLoadedAgain(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, example()); err != nil {
		t.Fatal(err)
	}
	r, err := result.Load(filepath.Join(dir, Raw))
	if err != nil || len(r.Samples) != len(example().Samples) || r.Cell("put/256B/c64").Ratio(result.Throughput).Median != 2 {
		t.Errorf("%v, %+v", err, r)
	}
	if err := os.WriteFile(filepath.Join(dir, "other.json"), []byte(`{"format": 99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := result.Load(filepath.Join(dir, "other.json")); err == nil {
		t.Error("another format was read")
	}
}
