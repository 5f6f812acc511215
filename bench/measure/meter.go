package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/proc"
)

// Server is one process to measure.
type Server struct {
	Pid      int
	Endpoint string // host:port of /metrics
	Dir      string // its data
}

// Usage is what all servers used in a window. Of a Usage that is not Known
// nothing is known.
type Usage struct {
	Known     bool
	CPU       time.Duration // user and system
	Resident  int64         // bytes, at the end
	Written   int64         // bytes sent to storage
	Disk      int64         // bytes in their directories, at the end
	Syncs     float64
	Allocated float64 // bytes of memory
	// Shares of all cores: of the servers, of this process, of others.
	Servers, Client, Others float64
}

// Meter measures the servers of one cluster. A nil Meter measures nothing, as
// of a cluster elsewhere.
type Meter struct {
	kind    string
	servers []Server
	begin   reading
	usage   Usage
}

// NewMeter returns a meter of nodes that run; kind is a key of Syncs.
func NewMeter(kind string, servers []Server) *Meter {
	return &Meter{kind: kind, servers: servers}
}

// reading is the counters at one time.
type reading struct {
	processes []proc.Process
	self      proc.Process
	clock     proc.Machine
	metrics   []map[string]float64
}

// Start begins the window.
func (m *Meter) Start(ctx context.Context) (err error) {
	if m == nil {
		return nil
	}
	m.usage = Usage{}
	if m.begin.metrics, err = m.scrape(ctx); err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	return m.kernel(&m.begin) // last (I1)
}

// Stop ends the window.
func (m *Meter) Stop(ctx context.Context) error {
	if m == nil {
		return nil
	}
	var end reading
	if err := m.kernel(&end); err != nil { // first (I1)
		return err
	}
	var err error
	if end.metrics, err = m.scrape(ctx); err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	m.usage = m.difference(m.begin, end)
	var dirs []string
	for _, s := range m.servers {
		dirs = append(dirs, s.Dir)
	}
	if m.usage.Disk, err = DiskSize(dirs); err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	m.usage.Known = true
	return nil
}

// Usage returns what was used between the last Start and its Stop.
func (m *Meter) Usage() Usage {
	if m == nil {
		return Usage{}
	}
	return m.usage
}

// kernel reads all that the kernel tells.
func (m *Meter) kernel(r *reading) (err error) {
	r.processes = nil
	var errs []error
	for _, s := range m.servers {
		p, err := proc.Read(s.Pid)
		errs = append(errs, err)
		r.processes = append(r.processes, p)
	}
	r.self, err = proc.Read(os.Getpid())
	errs = append(errs, err)
	r.clock, err = proc.ReadMachine()
	if err := errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	return nil
}

func (m *Meter) scrape(ctx context.Context) ([]map[string]float64, error) {
	names := append(slices.Clone(Syncs[m.kind]), allocated)
	all := make([]map[string]float64, len(m.servers))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range m.servers {
		g.Go(func() (err error) {
			all[i], err = Scrape(ctx, s.Endpoint, names)
			return err
		})
	}
	return all, g.Wait()
}

// difference is what was used between two readings.
func (m *Meter) difference(a, b reading) (u Usage) {
	for i := range b.processes {
		u.CPU += b.processes[i].CPU - a.processes[i].CPU
		u.Written += b.processes[i].Written - a.processes[i].Written
		u.Resident += b.processes[i].Resident
		u.Allocated += b.metrics[i][allocated] - a.metrics[i][allocated]
		for _, name := range Syncs[m.kind] {
			u.Syncs += b.metrics[i][name] - a.metrics[i][name]
		}
	}
	if total := (b.clock.Total - a.clock.Total).Seconds(); total > 0 {
		u.Servers = u.CPU.Seconds() / total
		u.Client = (b.self.CPU - a.self.CPU).Seconds() / total
		nobody := (b.clock.Idle - a.clock.Idle + b.clock.Interrupts - a.clock.Interrupts).Seconds() / total
		u.Others = max(0, 1-nobody-u.Servers-u.Client)
	}
	return u
}
