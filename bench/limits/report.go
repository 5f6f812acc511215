package limits

import (
	"fmt"
	"io"
)

// Report is a whole measurement.
type Report struct {
	Connections int      `json:"connections"`
	ValueSize   int      `json:"value_size"`
	Sync        []Sync   `json:"sync"`
	Engine      []Engine `json:"engine"`
	Echo        []Echo   `json:"echo"`
}

// WriteText prints the report for people.
func (r *Report) WriteText(w io.Writer) {
	for _, s := range r.Sync {
		fmt.Fprintf(w, "sync of %d bytes, %-9s              p50 %7.3f  p99 %7.3f ms\n", s.Bytes, s.What, s.P50Ms, s.P99Ms)
	}
	for _, e := range r.Engine {
		fmt.Fprintf(w, "engine, %3d committers    %8.0f/s  p50 %7.3f  p99 %7.3f ms  %5.0f us of CPU each\n", e.Committers, e.PerSecond, e.P50Ms, e.P99Ms, e.CPUMicros)
	}
	for _, e := range r.Echo {
		fmt.Fprintf(w, "echo, %5d clients       %8.0f/s  p50 %7.3f  p99 %7.3f ms  %5.0f us of CPU each\n", e.Clients, e.PerSecond, e.P50Ms, e.P99Ms, e.CPUMicros)
	}
}
