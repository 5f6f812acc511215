package restart

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// Memory of all nodes together.
type Memory struct {
	Resident  int64 `json:"resident_bytes"`
	Anonymous int64 `json:"anonymous_bytes"` // without pages of files, which etcd maps
}

// Restart is one kill and start of all nodes.
type Restart struct {
	FirstSeconds float64 `json:"first_read_seconds"` // until any node answered
	AllSeconds   float64 `json:"all_read_seconds"`   // until every node did
	Serving      Memory  `json:"serving"`            // then
	Rested       Memory  `json:"rested"`             // a while later
}

func (r Restart) String() string {
	return fmt.Sprintf("first read after %.2f s, on every node after %.2f s, %d MiB resident then (%d anonymous), %d (%d) later",
		r.FirstSeconds, r.AllSeconds, r.Serving.Resident>>20, r.Serving.Anonymous>>20, r.Rested.Resident>>20, r.Rested.Anonymous>>20)
}

// System is what one system did.
type System struct {
	System      cluster.Kind `json:"system"`
	FillSeconds float64      `json:"fill_seconds"`
	DiskBytes   int64        `json:"disk_bytes"` // of all nodes, after the fill
	Filled      Memory       `json:"filled"`
	Restarts    []Restart    `json:"restarts"`
	Median      Restart      `json:"median"` // each figure by itself
}

// Ratios compare Pontoon with etcd: below 1 it is quicker, or smaller.
type Ratios struct {
	First         float64 `json:"first_read"`
	All           float64 `json:"all_read"`
	Resident      float64 `json:"resident"` // when serving
	Anonymous     float64 `json:"anonymous"`
	RestResident  float64 `json:"rested_resident"` // a while later
	RestAnonymous float64 `json:"rested_anonymous"`
}

// Report is a whole measurement.
type Report struct {
	Nodes     int      `json:"nodes"`
	Keys      int      `json:"keys"`
	ValueSize int      `json:"value_size"`
	Ranges    int      `json:"ranges"` // of Pontoon at the beginning
	Systems   []System `json:"systems"`
	Ratios    *Ratios  `json:"ratios,omitempty"`
}

func (r *Report) summarize() {
	for i := range r.Systems {
		s := &r.Systems[i]
		s.Median = Restart{
			FirstSeconds: s.median(func(r Restart) float64 { return r.FirstSeconds }),
			AllSeconds:   s.median(func(r Restart) float64 { return r.AllSeconds }),
			Serving: Memory{
				int64(s.median(func(r Restart) float64 { return float64(r.Serving.Resident) })),
				int64(s.median(func(r Restart) float64 { return float64(r.Serving.Anonymous) }))},
			Rested: Memory{
				int64(s.median(func(r Restart) float64 { return float64(r.Rested.Resident) })),
				int64(s.median(func(r Restart) float64 { return float64(r.Rested.Anonymous) }))},
		}
	}
	if len(r.Systems) != 2 {
		return
	}
	p, e := r.Systems[0].Median, r.Systems[1].Median
	r.Ratios = &Ratios{
		div(p.FirstSeconds, e.FirstSeconds), div(p.AllSeconds, e.AllSeconds),
		div(float64(p.Serving.Resident), float64(e.Serving.Resident)), div(float64(p.Serving.Anonymous), float64(e.Serving.Anonymous)),
		div(float64(p.Rested.Resident), float64(e.Rested.Resident)), div(float64(p.Rested.Anonymous), float64(e.Rested.Anonymous)),
	}
}

func div(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (s *System) median(figure func(Restart) float64) float64 {
	var all []float64
	for _, r := range s.Restarts {
		all = append(all, figure(r))
	}
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func (r *Report) check(o *Options) error {
	if r.Ratios == nil {
		return nil
	}
	var errs []error
	if o.MaxTime > 0 && r.Ratios.First > o.MaxTime {
		errs = append(errs, fmt.Errorf("the first read takes %.2f times as long as etcd's, at most %.2f wanted", r.Ratios.First, o.MaxTime))
	}
	if o.MaxMemory > 0 && r.Ratios.Resident > o.MaxMemory {
		errs = append(errs, fmt.Errorf("it takes %.2f times etcd's memory, at most %.2f wanted", r.Ratios.Resident, o.MaxMemory))
	}
	return errors.Join(errs...)
}

// WriteText prints the medians.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%d nodes, %d keys, %d-byte values; medians\n", r.Nodes, r.Keys, r.ValueSize)
	for _, s := range r.Systems {
		fmt.Fprintf(w, "  %-8s %s\n", s.System, s.Median)
	}
	if q := r.Ratios; q != nil {
		fmt.Fprintf(w, "Pontoon / etcd: first read %.2f, every node %.2f, resident %.2f, anonymous %.2f, later %.2f and %.2f\n",
			q.First, q.All, q.Resident, q.Anonymous, q.RestResident, q.RestAnonymous)
	}
}
