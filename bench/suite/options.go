package suite

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

// System is one of those measured: started here, or endpoints elsewhere.
type System struct {
	Name string
	cluster.System
	Endpoints []string // elsewhere: nothing is started
}

// foreign says whether the system runs elsewhere.
func (s *System) foreign() bool { return len(s.Endpoints) > 0 }

func (s *System) describe() (result.System, error) {
	out := result.System{Name: s.Name}
	if s.foreign() {
		return out, nil
	}
	var err error
	out.Build, err = build(s)
	return out, err
}

// Options of a run. Zero values take the defaults.
type Options struct {
	Subject  System
	Baseline *System // nil: the subject alone

	Groups   []workload.Group
	Sections []Section
	// Select keeps workloads and sections whose name begins with one of these
	// path elements; empty: all.
	Select []string

	Rounds      int           // default 3
	Window      time.Duration // measured time of a workload; default 3 s
	Warmup      time.Duration // before it, not measured; default 1 s
	Connections int           // spread over the nodes; default 48
	Seed        uint64        // default 1
	Quick       bool          // told to sections and noted
	// MaxErrorShare of requests may fail before a sample is a failure; default
	// 0.001.
	MaxErrorShare float64
	// ProfileDir receives CPU and allocation profiles of every workload, taken in
	// a pass of its own; empty: none.
	ProfileDir string

	Dir      string // data and logs; default: temporary
	Logger   *slog.Logger
	Progress func(phase string, done, total int)
	Command  string // that was typed, for the report
	// Keep is given the run as far as it is, after every cluster: what ends a run
	// of hours should not take all of it along. May be nil.
	Keep func(*result.Run) error
}

func (o *Options) complete() error {
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Rounds, 3}, {&o.Connections, 48}} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 1 {
			return fmt.Errorf("suite: rounds and connections must be positive")
		}
	}
	if o.Window == 0 {
		o.Window = 3 * time.Second
	}
	if o.Warmup == 0 {
		o.Warmup = time.Second
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.MaxErrorShare == 0 {
		o.MaxErrorShare = 0.001
	}
	if o.Window < 0 || o.Warmup < 0 || o.MaxErrorShare < 0 {
		return fmt.Errorf("suite: times and shares must be positive")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if o.Keep == nil {
		o.Keep = func(*result.Run) error { return nil }
	}
	if err := o.selectNames(); err != nil {
		return err
	}
	for _, s := range o.systems() {
		if s.Name == "" {
			return fmt.Errorf("suite: a system without a name")
		}
		if s.foreign() {
			continue
		}
		if err := s.Validate(); err != nil {
			return fmt.Errorf("suite: %w", err)
		}
	}
	return nil
}

// systems returns the subject and, if there is one, the baseline.
func (o *Options) systems() []*System {
	all := []*System{&o.Subject}
	if o.Baseline != nil {
		all = append(all, o.Baseline)
	}
	return all
}

// selected says whether a name is one of those asked for.
func (o *Options) selected(name string) bool {
	if len(o.Select) == 0 {
		return true
	}
	return slices.ContainsFunc(o.Select, func(s string) bool { return name == s || strings.HasPrefix(name, s+"/") })
}

// selectNames drops what was not asked for. A name that selects nothing is an
// error: it is misspelt.
func (o *Options) selectNames() error {
	var names []string
	var groups []workload.Group
	for _, g := range o.Groups {
		var kept []workload.Workload
		for _, w := range g.Workloads {
			names = append(names, w.Name)
			if o.selected(w.Name) {
				kept = append(kept, w)
			}
		}
		if g.Workloads = kept; len(kept) > 0 {
			groups = append(groups, g)
		}
	}
	var sections []Section
	for _, s := range o.Sections {
		names = append(names, s.Name())
		if o.selected(s.Name()) {
			sections = append(sections, s)
		}
	}
	for _, want := range o.Select {
		if !slices.ContainsFunc(names, func(n string) bool { return n == want || strings.HasPrefix(n, want+"/") }) {
			return fmt.Errorf("no workload %q; there are %s", want, strings.Join(names, " "))
		}
	}
	o.Groups, o.Sections = groups, sections
	return nil
}
