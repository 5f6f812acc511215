package scaleout

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// Setup is what was measured how.
type Setup struct {
	CPU           float64 `json:"cpu_cores_per_node"`
	PeriodMs      float64 `json:"period_ms"`
	WriteBytes    int64   `json:"write_bytes_per_second"` // 0: not capped
	CgroupVersion int     `json:"cgroup_version"`
	Clients       int     `json:"clients"`
	Connections   int     `json:"connections"`
	Ranges        int     `json:"ranges"`
	Keys          int     `json:"keys"`
	ValueSize     int     `json:"value_size"`
	CellSeconds   float64 `json:"cell_seconds"`
	Rounds        int     `json:"rounds"`
}

func describe(o *Options, version int) Setup {
	return Setup{
		o.CPU, stat.Ms(o.Period), o.WriteBytes, version, o.Clients, o.Connections, o.Ranges, o.Keys, o.ValueSize, o.Cell.Seconds(), o.Rounds}
}

// NodeUse is what one node used.
type NodeUse struct {
	Node  string  `json:"node"`
	Cores float64 `json:"cores"`
	// Throttled is the share of periods in which the cap held it back.
	Throttled float64 `json:"throttled"`
	Leads     int     `json:"leads"` // ranges
}

// Point is one cluster measured.
type Point struct {
	System cluster.Kind `json:"system"`
	Nodes  int          `json:"nodes"`
	Round  int          `json:"round"`
	Cap    float64      `json:"cap_cores"` // of each node
	stat.Summary
	Unanswered
	IdleCores   float64   `json:"idle_cores_per_node"` // while nobody asks anything
	NodeCores   float64   `json:"node_cores"`          // all nodes together
	Used        float64   `json:"used"`                // of what the caps allow
	CPUMicros   float64   `json:"cpu_us_per_op"`       // all nodes together
	ClientCores float64   `json:"client_cores"`
	IdleShare   float64   `json:"idle_share"`   // of the machine
	OthersShare float64   `json:"others_share"` // that other processes took
	Each        []NodeUse `json:"each"`
}

// Growth compares two sizes of one system: throughput grows with the nodes times
// how much better they use their caps, divided by what an operation costs more.
type Growth struct {
	System     cluster.Kind `json:"system"`
	From       int          `json:"from"`
	To         int          `json:"to"`
	Throughput float64      `json:"throughput"`
	Used       float64      `json:"used"`
	Cost       float64      `json:"cost"`
}

// Report is a whole measurement.
type Report struct {
	Setup  Setup    `json:"setup"`
	Points []Point  `json:"points"`
	Growth []Growth `json:"growth"`
}

// full says that the machine was, so that the caps did not bound (I4).
func (p *Point) full() bool { return p.IdleShare < 0.05 }

func (p *Point) line() string {
	busiest := slices.MaxFunc(p.Each, func(a, b NodeUse) int {
		switch {
		case a.Cores < b.Cores:
			return -1
		case a.Cores > b.Cores:
			return 1
		}
		return 0
	})
	line := fmt.Sprintf("%-8s %2d nodes %8.0f/s  p50 %6.1f p99 %7.1f ms  %5.0f us of CPU each  nodes %.2f cores (%3.0f%% of the caps, most %s %.0f%%)  client %.2f  idle %.0f%%",
		p.System, p.Nodes, p.PerSecond, p.P50Ms, p.P99Ms, p.CPUMicros, p.NodeCores, p.Used*100,
		busiest.Node, busiest.Cores/p.Cap*100, p.ClientCores, p.IdleShare*100)
	if p.Unanswered != (Unanswered{}) {
		line += fmt.Sprintf(" (%d refused, %d failed)", p.Refused, p.Failed)
	}
	if p.full() {
		line += " (the machine was full: its cores bound this, not the caps)"
	}
	if p.OthersShare > 0.1 {
		line += fmt.Sprintf(" (disturbed: other processes used %.0f%% of the machine)", p.OthersShare*100)
	}
	return line
}

// median of a figure over the rounds of one size; false: not measured.
func (r *Report) median(s cluster.Kind, nodes int, figure func(*Point) float64) (float64, bool) {
	var all []float64
	for i := range r.Points {
		if p := &r.Points[i]; p.System == s && p.Nodes == nodes {
			all = append(all, figure(p))
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, true
}

// summarize compares the wanted sizes of Pontoon, and the smallest and largest
// of etcd.
func (r *Report) summarize(from, to int) {
	r.grow(cluster.Pontoon, from, to)
	var etcd []int
	for _, p := range r.Points {
		if p.System == cluster.Etcd {
			etcd = append(etcd, p.Nodes)
		}
	}
	if len(etcd) > 0 {
		r.grow(cluster.Etcd, slices.Min(etcd), slices.Max(etcd))
	}
}

func (r *Report) grow(s cluster.Kind, from, to int) {
	ratio := func(figure func(*Point) float64) (float64, bool) {
		a, okA := r.median(s, from, figure)
		b, okB := r.median(s, to, figure)
		if !okA || !okB || a == 0 {
			return 0, false
		}
		return b / a, true
	}
	throughput, ok := ratio(func(p *Point) float64 { return p.PerSecond })
	if !ok || from == to {
		return
	}
	used, _ := ratio(func(p *Point) float64 { return p.Used })
	cost, _ := ratio(func(p *Point) float64 { return p.CPUMicros })
	r.Growth = append(r.Growth, Growth{s, from, to, throughput, used, cost})
}

// below returns an error if Pontoon grows less than wanted.
func (r *Report) below(floor float64) error {
	if floor == 0 {
		return nil
	}
	for _, g := range r.Growth {
		if g.System == cluster.Pontoon {
			if g.Throughput < floor {
				return fmt.Errorf("%d nodes put %.2f times what %d do, at least %.2f wanted", g.To, g.Throughput, g.From, floor)
			}
			return nil
		}
	}
	return fmt.Errorf("a ratio of at least %.2f is wanted, but its two sizes were not measured", floor)
}

// WriteText prints the medians.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "nodes of %.2f cores each, %d clients, %d ranges, median of %d rounds\n",
		r.Setup.CPU, r.Setup.Clients, r.Setup.Ranges, r.Setup.Rounds)
	seen := map[string]bool{}
	for _, p := range r.Points {
		key := fmt.Sprint(p.System, p.Nodes)
		if seen[key] {
			continue
		}
		seen[key] = true
		rate, _ := r.median(p.System, p.Nodes, func(p *Point) float64 { return p.PerSecond })
		cost, _ := r.median(p.System, p.Nodes, func(p *Point) float64 { return p.CPUMicros })
		used, _ := r.median(p.System, p.Nodes, func(p *Point) float64 { return p.Used })
		idle, _ := r.median(p.System, p.Nodes, func(p *Point) float64 { return p.IdleCores })
		fmt.Fprintf(w, "  %-8s %2d nodes %8.0f puts/s %6.0f us of CPU each, %3.0f%% of the caps used, %4.1f%% of a core each when idle\n",
			p.System, p.Nodes, rate, cost, used*100, idle*100)
	}
	for _, g := range r.Growth {
		fmt.Fprintf(w, "%s, %d -> %d nodes: throughput x %.2f = nodes x %.2f, use of the caps x %.2f, cost of a put x %.2f\n",
			strings.ToUpper(string(g.System[:1]))+string(g.System[1:]), g.From, g.To, g.Throughput, float64(g.To)/float64(g.From), g.Used, g.Cost)
	}
}
