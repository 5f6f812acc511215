package greedy

import (
	"errors"
	"fmt"

	"github.com/pontoon-kv/pontoon/bench/stat"
)

// unavoidable is what the kernel lets through beyond a cap, bytes: pages that
// cannot wait, of network buffers for example.
const unavoidable = 1 << 20

// judge says what a scenario missed. Broken is why it was not measured to its
// end, nil if it was.
func (r *Result) judge(o *Options, broken error) {
	miss := func(format string, args ...any) { r.Missed = append(r.Missed, fmt.Sprintf(format, args...)) }
	if broken != nil {
		miss("not measured to its end: %v", broken)
	}
	r.judgeNodes(o, miss)
	if broken != nil && r.Beside.asked() == 0 {
		return // nothing was measured: of a lease, too, nothing is known
	}
	r.judgeBystanders(o, miss)
	if g := r.Greedy; g.asked() == g.Failed {
		miss("no request of greedy clients was done, refused or left unread, %d failed", g.Failed) // I3
	}
	if !r.Vitals.LeaseHeld {
		miss("a lease that was kept alive is gone")
	}
}

func (r *Result) judgeBystanders(o *Options, miss func(string, ...any)) {
	for _, phase := range []struct {
		name string
		Outcome
	}{{"alone", r.Quiet.Outcome}, {"beside greedy clients", r.Beside.Outcome}} {
		b := phase.Outcome
		if b.Done.Count == 0 {
			miss("no bystander was answered %s", phase.name)
		}
		if b.Failed > 0 {
			miss("%d of %d requests of bystanders failed %s, first: %s", b.Failed, b.asked(), phase.name, b.Failure)
		}
		if share := float64(b.Refused) / float64(max(1, b.asked())); share > o.MaxRefused {
			miss("%d of %d requests of bystanders were refused %s, a share of %.3f is allowed", b.Refused, b.asked(), phase.name, o.MaxRefused)
		}
	}
	if p99, most := r.Beside.Done.P99Ms, stat.Ms(o.MaxP99); p99 > most {
		miss("p99 of the bystanders is %.0f ms beside greedy clients, at most %.0f ms wanted", p99, most)
	}
}

func (r *Result) judgeNodes(o *Options, miss func(string, ...any)) {
	if n := r.Nodes.OOMKills; n > 0 {
		miss("%d processes were ended for lack of memory", n)
	}
	for _, end := range r.Nodes.Ended {
		miss("%s", end)
	}
	// The kernel keeps a group below its cap: more means that there was none (I1).
	if r.Nodes.MemoryPeak > o.Memory+unavoidable {
		miss("a node took %d MiB, at most %d MiB allowed", r.Nodes.MemoryPeak>>20, o.Memory>>20)
	}
}

// missed is an error if a scenario did not pass.
func (r *Report) missed() (err error) {
	for _, x := range r.Results {
		for _, m := range x.Missed {
			err = errors.Join(err, fmt.Errorf("%s: %s", x.Scenario, m))
		}
	}
	return err
}
