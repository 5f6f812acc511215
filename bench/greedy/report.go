package greedy

import (
	"fmt"
	"io"

	"github.com/pontoon-kv/pontoon/bench/stat"
	"github.com/pontoon-kv/pontoon/bench/vitals"
)

// Setup is what was measured how.
type Setup struct {
	Nodes         int     `json:"nodes"`
	CPU           float64 `json:"cpu_cores_per_node"`
	Memory        int64   `json:"memory_per_node"`
	CgroupVersion int     `json:"cgroup_version"`
	Ranges        int     `json:"ranges"`
	Bystanders    int     `json:"bystanders"`
	Rate          float64 `json:"bystander_requests_per_second"`
	LimitMs       float64 `json:"bystander_limit_ms"`
	CellSeconds   float64 `json:"cell_seconds"`
	MaxP99Ms      float64 `json:"max_p99_ms"`
	MaxRefused    float64 `json:"max_refused"`
}

func describe(o *Options, version int) Setup {
	return Setup{o.Nodes, o.CPU, o.Memory, version, o.Ranges, o.Bystanders, o.Rate, stat.Ms(o.Limit), o.Cell.Seconds(), stat.Ms(o.MaxP99), o.MaxRefused}
}

// Result is what one scenario did.
type Result struct {
	Scenario string        `json:"scenario"`
	About    string        `json:"about"`
	Quiet    Standing      `json:"bystanders_quiet"`
	Beside   Standing      `json:"bystanders_beside"`
	Greedy   Outcome       `json:"greedy"`
	Vitals   vitals.Vitals `json:"vitals"`
	Nodes    Nodes         `json:"nodes"`
	Machine  Machine       `json:"machine"`
	Missed   []string      `json:"missed,omitempty"` // empty: it passed
}

// Report is a whole measurement.
type Report struct {
	Setup   Setup     `json:"setup"`
	Results []*Result `json:"results"`
}

// WriteText prints it.
func (r *Report) WriteText(w io.Writer) {
	s := r.Setup
	fmt.Fprintf(w, "%d nodes of %.2f cores and %d MiB, %d ranges; %d bystanders ask %.0f requests/s together; phases of %.0f s\n",
		s.Nodes, s.CPU, s.Memory>>20, s.Ranges, s.Bystanders, s.Rate, s.CellSeconds)
	for _, x := range r.Results {
		fmt.Fprintf(w, "%s: %s\n", x.verdict(), x.About)
		fmt.Fprintf(w, "    bystanders  alone   %v\n                beside  %v\n    greedy              %v\n", x.Quiet, x.Beside, x.Greedy)
		fmt.Fprintf(w, "    nodes       %v (its group: %d MiB), %d killed for lack of memory\n", x.Vitals, x.Nodes.MemoryPeak>>20, x.Nodes.OOMKills)
		fmt.Fprintf(w, "    machine     %v\n", x.Machine)
		if x.Greedy.Failure != "" {
			fmt.Fprintf(w, "    a greedy client's first failure: %s\n", x.Greedy.Failure)
		}
		for _, m := range x.Missed {
			fmt.Fprintf(w, "    missed: %s\n", m)
		}
	}
}

// verdict is the short of it.
func (r *Result) verdict() string {
	if len(r.Missed) > 0 {
		return fmt.Sprintf("  %-10s FAILED", r.Scenario)
	}
	return fmt.Sprintf("  %-10s passed", r.Scenario)
}

func (o Outcome) String() string {
	text := fmt.Sprintf("%8d done  p50 %8.1f  p99 %8.1f  max %8.1f ms  %6d refused  %4d failed", o.Done.Count, o.Done.P50Ms, o.Done.P99Ms, o.Done.MaxMs, o.Refused, o.Failed)
	if o.Unread > 0 {
		text += fmt.Sprintf("  %d left unread", o.Unread)
	}
	return text
}
