package simulation

import (
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/placement/plan"
	"github.com/pontoon-kv/pontoon/placement/roster"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Run drives a cluster.
type Run struct {
	*Cluster
	// Busy and Idle are the times between two plans while something goes on,
	// and while nothing does.
	Busy, Idle time.Duration
	// Planned counts operators by kind, Ended by how.
	Planned map[operator.Kind]int
	Ended   map[operator.State]int
	Last    plan.Result
	Trace   func(*operator.Operator) // of what is planned, if set
	set     *operator.Set
}

// NewRun returns a run of the cluster, with a plan every 5 s while something
// goes on.
func NewRun(c *Cluster) *Run {
	const kept = 20
	return &Run{
		Cluster: c, Busy: 5 * time.Second, Idle: time.Minute, set: operator.NewSet(kept),
		Planned: map[operator.Kind]int{}, Ended: map[operator.State]int{},
	}
}

// View is what the plan sees.
func (r *Run) View() *plan.View {
	v := &plan.View{Now: r.Now, Running: r.set.Running(), Rests: r.set.Rests(r.Now)}
	records := make([]*pontoonpb.NodeRecord, 0, len(r.Nodes))
	for _, n := range r.Nodes {
		records = append(records, n.Record)
		v.Nodes = append(v.Nodes, plan.Node{Record: n.Record, Live: n.Live, Stopping: n.Stopping, Down: n.Down})
	}
	v.Settings = roster.WithDefaults(r.Settings, roster.Holders(records))
	v.Ranges = make([]plan.Range, len(r.Ranges))
	for i, g := range r.Ranges {
		v.Ranges[i] = plan.Range{Status: g.Status, Changed: g.Changed}
	}
	return v
}

// Round plans, starts what was planned, lets time pass and steps the operators.
// It reports whether anything is going on.
func (r *Run) Round() bool {
	r.Last = plan.Make(r.View())
	for _, o := range r.Last.Operators {
		if !r.set.Admit(o) {
			r.Broken = append(r.Broken, "two operators for one range: "+o.Reason)
		}
		r.Planned[o.Kind]++
		if r.Trace != nil {
			r.Trace(o)
		}
	}
	running := r.set.Running()
	if len(running) == 0 {
		r.Now = r.Now.Add(r.Idle)
		return false
	}
	const steps = 2
	for range steps {
		for _, o := range r.set.Running() {
			r.step(o)
		}
		r.Now = r.Now.Add(r.Busy / steps)
	}
	return true
}

// step does what the operator can do now.
func (r *Run) step(o *operator.Operator) {
	for {
		switch a := o.Next(r.Status(o.Current()), r.Now); a.Do {
		case operator.End:
			r.set.Retire(o)
			r.Ended[o.State()]++
			return
		case operator.Send:
			o.Answered(r.Do(a.Op), nil, r.Now)
		case operator.NeedID:
			o.Allocated(proto.RangeID(r.NextID()), nil, r.Now)
		case operator.Wait:
			return
		case operator.Look:
		}
	}
}

// Settle runs until nothing has gone on for so long, at most so many rounds. It
// returns how long it took until then, and whether it came to rest.
func (r *Run) Settle(still time.Duration, rounds int) (took time.Duration, rested bool) {
	start, last := r.Now, r.Now
	for range rounds {
		if r.Round() {
			last = r.Now
		}
		if r.Now.Sub(last) >= still {
			return last.Sub(start), true
		}
	}
	return r.Now.Sub(start), false
}

// Watch runs for a time, with a plan now and then, and returns how many
// operators were planned meanwhile.
func (r *Run) Watch(d time.Duration) int {
	const every = 20 * time.Minute
	before, planned := r.Idle, 0
	r.Idle = every
	for end := r.Now.Add(d); r.Now.Before(end); {
		r.Round()
		planned += len(r.Last.Operators)
	}
	r.Idle = before
	return planned
}
