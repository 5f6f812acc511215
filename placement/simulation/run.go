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
	Step time.Duration // between two plans
	// Planned counts operators by kind, Ended by how.
	Planned map[operator.Kind]int
	Ended   map[operator.State]int
	set     *operator.Set
	Last    plan.Result
}

// NewRun returns a run of the cluster, with a plan every 5 s.
func NewRun(c *Cluster) *Run {
	const kept = 20
	return &Run{
		Cluster: c, Step: 5 * time.Second, set: operator.NewSet(kept),
		Planned: map[operator.Kind]int{}, Ended: map[operator.State]int{},
	}
}

// View is what the plan sees.
func (r *Run) View() *plan.View {
	v := &plan.View{Now: r.Now, Running: r.set.Running(), Rests: r.set.Rests(r.Now)}
	records := make([]*pontoonpb.NodeRecord, 0, len(r.Nodes))
	for _, n := range r.Nodes {
		records = append(records, n.Record)
		v.Nodes = append(v.Nodes, plan.Node{Record: n.Record, Live: n.Live, Down: n.Down})
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
	}
	const steps = 2
	for range steps {
		for _, o := range r.set.Running() {
			r.step(o)
		}
		r.Now = r.Now.Add(r.Step / steps)
	}
	return len(r.set.Running()) > 0 || len(r.Last.Operators) > 0
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

// Settle runs until nothing has gone on for so long, at most so many rounds; it
// returns how long it took until then, and whether it came to rest.
func (r *Run) Settle(still time.Duration, rounds int) (time.Duration, bool) {
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

// Watch runs for a time in long rounds and returns how many operators were
// planned meanwhile.
func (r *Run) Watch(d, step time.Duration) int {
	before, planned := r.Step, 0
	r.Step = step
	for end := r.Now.Add(d); r.Now.Before(end); {
		r.Round()
		planned += len(r.Last.Operators)
	}
	r.Step = before
	return planned
}
