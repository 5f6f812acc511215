package overload

import (
	"errors"
	"fmt"
	"io"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/vitals"
)

// Setup is what was measured how.
type Setup struct {
	Nodes         int     `json:"nodes"`
	CPU           float64 `json:"cpu_cores_per_node"`
	CgroupVersion int     `json:"cgroup_version"`
	Clients       int     `json:"clients"`
	Times         float64 `json:"times"`
	DeadlineMs    float64 `json:"deadline_ms"`
	Connections   int     `json:"connections"`
	Ranges        int     `json:"ranges"`
	Keys          int     `json:"keys"`
	ValueSize     int     `json:"value_size"`
	CellSeconds   float64 `json:"cell_seconds"`
}

// Result is what one system did.
type Result struct {
	System  cluster.Kind  `json:"system"`
	Peak    Outcome       `json:"peak"`
	Load    Outcome       `json:"load"`  // at a multiple of the peak
	After   Outcome       `json:"after"` // as the peak
	Goodput float64       `json:"goodput"`
	Vitals  vitals.Vitals `json:"vitals"`
}

// Report is a whole measurement.
type Report struct {
	Setup   Setup    `json:"setup"`
	Results []Result `json:"results"`
}

// WriteText prints it.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%d nodes of %.2f cores, %.0f times the peak offered, %.0f ms to answer\n", r.Setup.Nodes, r.Setup.CPU, r.Setup.Times, r.Setup.DeadlineMs)
	for _, x := range r.Results {
		l := x.Load
		fmt.Fprintf(w, "  %-8s peak %6.0f/s   of %6.0f/s: useful %6.0f (%.2f of the peak, p50 %.0f p99 %.0f ms)  refused %6.0f  late %6.0f  failed %.0f  not sent %.0f   after %6.0f/s\n",
			x.System, x.Peak.Useful.PerSecond, l.Offered, l.Useful.PerSecond, x.Goodput, l.Useful.P50Ms, l.Useful.P99Ms, l.Refused, l.Late, l.Failed, l.Unsent, x.After.Useful.PerSecond)
		fmt.Fprintf(w, "           %v\n", x.Vitals)
		if l.Failure != "" {
			fmt.Fprintf(w, "           first failure: %s\n", l.Failure)
		}
	}
}

// missed returns what Pontoon did not keep to.
func (r *Report) missed(o *Options) (err error) {
	for _, x := range r.Results {
		if x.System != cluster.Pontoon {
			continue
		}
		if o.MaxResident > 0 && x.Vitals.ResidentMax > o.MaxResident {
			err = errors.Join(err, fmt.Errorf("a node took %d MiB, at most %d wanted", x.Vitals.ResidentMax>>20, o.MaxResident>>20))
		}
		if o.MinGoodput == 0 {
			continue
		}
		if x.Goodput < o.MinGoodput {
			err = errors.Join(err, fmt.Errorf("%.2f of the peak is useful, at least %.2f wanted", x.Goodput, o.MinGoodput))
		}
		if !x.Vitals.LeaseHeld {
			err = errors.Join(err, errors.New("a lease that was kept alive is gone"))
		}
		if x.Vitals.LeaderChanges > 0 || x.Vitals.TermChanges > 0 {
			err = errors.Join(err, fmt.Errorf("%d leaders and %d terms changed", x.Vitals.LeaderChanges, x.Vitals.TermChanges))
		}
	}
	return err
}
