package result

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/pontoon-kv/pontoon/bench/measure"
)

// Format is the version of the JSON; another one is refused.
const Format = 1

// Run is everything that one run found.
type Run struct {
	Format   int             `json:"format"`
	Began    time.Time       `json:"began"`
	Seconds  float64         `json:"seconds"`
	Command  string          `json:"command"`
	Machine  measure.Machine `json:"machine"`
	Subject  System          `json:"subject"`
	Baseline *System         `json:"baseline,omitempty"`
	Settings Settings        `json:"settings"`
	// About says what each workload does.
	About    map[string]string `json:"about"`
	Samples  []Sample          `json:"samples"`
	Sections []Section         `json:"sections,omitempty"`
}

// System is one of the programs measured.
type System struct {
	Name  string        `json:"name"`
	Build measure.Build `json:"build"`
}

// Settings are what all workloads share.
type Settings struct {
	Quick         bool    `json:"quick"`
	Rounds        int     `json:"rounds"`
	WindowSeconds float64 `json:"window_seconds"`
	WarmupSeconds float64 `json:"warmup_seconds"`
	Connections   int     `json:"connections"`
	Seed          uint64  `json:"seed"`
	MaxErrorShare float64 `json:"max_error_share"`
}

// Sample is one workload, once, on one system.
type Sample struct {
	Workload string             `json:"workload"`
	Unit     string             `json:"unit"` // what an operation is
	Nodes    int                `json:"nodes"`
	System   string             `json:"system"`
	Round    int                `json:"round"`
	Count    int                `json:"count"`
	Errors   int                `json:"errors"`
	Failure  string             `json:"failure,omitempty"`
	Metrics  map[Metric]float64 `json:"metrics,omitempty"`
}

// Failures returns what did not work.
func (r *Run) Failures() (out []string) {
	for _, s := range r.Samples {
		if s.Failure != "" {
			out = append(out, fmt.Sprintf("%s, %s, round %d: %s", s.Workload, s.System, s.Round+1, s.Failure))
		}
	}
	for _, s := range r.Sections {
		if s.Failure != "" {
			out = append(out, fmt.Sprintf("section %s: %s", s.Name, s.Failure))
		}
	}
	return out
}

// Save writes the run as JSON.
func (r *Run) Save(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// Load reads what Save wrote.
func Load(path string) (*Run, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Run
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%s: format %d, %d wanted", path, r.Format, Format)
	}
	return &r, nil
}
