package scaleout

import (
	"context"
	"os"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cgroup"
	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/proc"
)

// meter reads what everybody used within the window.
type meter struct {
	nodes  []*cluster.Node
	groups []*cgroup.Group
	begun  reading
	ended  reading
}

type reading struct {
	when     time.Time
	nodes    []proc.Process
	throttle []cgroup.Throttle
	self     proc.Process
	machine  proc.Machine
}

func (m *meter) read() (r reading, err error) {
	r.when = time.Now()
	for i, n := range m.nodes {
		p, err := proc.Read(n.Pid())
		if err != nil {
			return r, err
		}
		t, err := m.groups[i].Throttle()
		if err != nil {
			return r, err
		}
		r.nodes, r.throttle = append(r.nodes, p), append(r.throttle, t)
	}
	if r.self, err = proc.Read(os.Getpid()); err != nil {
		return r, err
	}
	r.machine, err = proc.ReadMachine()
	return r, err
}

func (m *meter) begin() (err error) { m.begun, err = m.read(); return err }
func (m *meter) end() (err error)   { m.ended, err = m.read(); return err }

// idle leaves the nodes alone for a while and returns the cores that each uses.
func (m *meter) idle(ctx context.Context, d time.Duration) (float64, error) {
	now := time.Now()
	// What the keys left to do is done in the first half.
	if err := at(ctx, now.Add(d/2), m.begin); err != nil {
		return 0, err
	}
	if err := at(ctx, now.Add(d+d/2), m.end); err != nil {
		return 0, err
	}
	used := time.Duration(0)
	for i := range m.nodes {
		used += m.ended.nodes[i].CPU - m.begun.nodes[i].CPU
	}
	return used.Seconds() / m.ended.when.Sub(m.begun.when).Seconds() / float64(len(m.nodes)), nil
}

// into fills in what a point says of CPU.
func (m *meter) into(p *Point, leads map[string]int) {
	took := m.ended.when.Sub(m.begun.when).Seconds()
	used := 0.0
	for i, n := range m.nodes {
		cores := (m.ended.nodes[i].CPU - m.begun.nodes[i].CPU).Seconds() / took
		used += cores
		p.Each = append(p.Each, NodeUse{
			Node: n.Name, Cores: cores, Throttled: m.ended.throttle[i].Share(m.begun.throttle[i]), Leads: leads[n.Name]})
	}
	p.NodeCores = used
	p.Used = used / (p.Cap * float64(p.Nodes))
	if p.PerSecond > 0 {
		p.CPUMicros = used / p.PerSecond * 1e6
	}
	p.ClientCores = (m.ended.self.CPU - m.begun.self.CPU).Seconds() / took
	if total := m.ended.machine.Total - m.begun.machine.Total; total > 0 {
		share := func(a, b time.Duration) float64 { return float64(a-b) / float64(total) }
		p.IdleShare = share(m.ended.machine.Idle, m.begun.machine.Idle)
		mine := (used + p.ClientCores) * took / total.Seconds()
		p.OthersShare = max(0, 1-p.IdleShare-share(m.ended.machine.Interrupts, m.begun.machine.Interrupts)-mine)
	}
}
