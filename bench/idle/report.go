package idle

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Process is what one node used.
type Process struct {
	Node          string  `json:"node"`
	CPUPercent    float64 `json:"cpu_percent"` // of one core
	ResidentBytes int64   `json:"resident_bytes"`
	EmptyBytes    int64   `json:"empty_resident_bytes"` // before the splits
	ReplicaBytes  int64   `json:"replica_bytes"`
}

// Report is a whole measurement.
type Report struct {
	Nodes          int       `json:"nodes"`
	Ranges         int       `json:"ranges"`
	SplitSeconds   float64   `json:"split_seconds"`
	Asleep         int       `json:"asleep"`
	SettleSeconds  float64   `json:"settle_seconds"`
	Processes      []Process `json:"processes"`
	ReadySeconds   float64   `json:"ready_seconds"`
	RestartSeconds float64   `json:"restart_seconds"`
}

func (r *Report) check(o Options) error {
	var errs []error
	for _, p := range r.Processes {
		if o.MaxCPUPercent > 0 && p.CPUPercent > o.MaxCPUPercent {
			errs = append(errs, fmt.Errorf("%s uses %.1f %% of a core, the bound is %.1f %%", p.Node, p.CPUPercent, o.MaxCPUPercent))
		}
		if o.MaxReplicaBytes > 0 && p.ReplicaBytes > o.MaxReplicaBytes {
			errs = append(errs, fmt.Errorf("a replica on %s takes %d bytes, the bound is %d", p.Node, p.ReplicaBytes, o.MaxReplicaBytes))
		}
	}
	if o.MaxRestart > 0 && r.RestartSeconds > o.MaxRestart.Seconds() {
		errs = append(errs, fmt.Errorf("a restart took %.1f s, the bound is %v", r.RestartSeconds, o.MaxRestart.Round(time.Second)))
	}
	return errors.Join(errs...)
}

// WriteText prints the report for people.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%d nodes, %d ranges, made in %.0f s; %d asleep after %.0f s\n",
		r.Nodes, r.Ranges, r.SplitSeconds, r.Asleep, r.SettleSeconds)
	for _, p := range r.Processes {
		fmt.Fprintf(w, "%-4s %5.1f %% of a core, %6.1f KiB per replica (%d MiB, %d MiB when empty)\n",
			p.Node, p.CPUPercent, float64(p.ReplicaBytes)/1024, p.ResidentBytes>>20, p.EmptyBytes>>20)
	}
	fmt.Fprintf(w, "restart of all nodes: ready after %.1f s, serving everywhere after %.1f s\n", r.ReadySeconds, r.RestartSeconds)
}
