package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// step is one fault or change, as the seed decides it.
type step struct {
	at   time.Duration // from the start of the load
	kind string
	draw [4]uint64     // what the kind makes of them is its own affair
	hold time.Duration // how long it lasts
}

func (s step) String() string {
	return fmt.Sprintf("%v %s for %v", s.at.Round(time.Millisecond), s.kind, s.hold.Round(time.Millisecond))
}

// pick draws one of n.
func (s step) pick(i, n int) int { return int(s.draw[i] % uint64(n)) }

// plan is a whole run before it begins: what is done to the cluster, and what
// kind of cluster it is. It follows from seed and number of steps alone; a plan of
// fewer steps is the beginning of one of more.
type plan struct {
	nodes       int
	leaderLease bool  // off: no clock is trusted (P5)
	drift       int64 // per mille, how far a clock may be from time
	ranges      int   // that the keys lie in at first
	steps       []step
}

const (
	// stepEvery is the mean time between the beginnings of two steps.
	stepEvery = 1500 * time.Millisecond
	// mostHold is how long a fault lasts at most: several elections.
	mostHold = 4 * time.Second
	// clockBound is half of what two clocks may drift apart, per mille (P4).
	clockBound = 5
)

// newPlan draws a plan.
func newPlan(seed uint64, steps int) plan {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := plan{nodes: 3, leaderLease: true, drift: clockBound}
	// With four nodes a range has a node that it has no replica on: a leader can be
	// cut off from its range, and not from the sequencer.
	switch rng.IntN(8) {
	case 0:
		p.nodes = 5
	case 1, 2, 3:
		p.nodes = 4
	}
	if rng.IntN(8) == 0 {
		// Without leader leases nothing depends on how fast clocks go.
		p.leaderLease, p.drift = false, 500
	}
	p.ranges = 1 + rng.IntN(6)
	names := weighted()
	at := time.Duration(0)
	for range steps {
		at += time.Duration((0.2 + 1.6*rng.Float64()) * float64(stepEvery))
		s := step{at: at, kind: names[rng.IntN(len(names))]}
		for i := range s.draw {
			s.draw[i] = rng.Uint64()
		}
		// Mostly short, since what goes wrong does so around a change.
		f := rng.Float64()
		s.hold = 50*time.Millisecond + time.Duration(f*f*float64(mostHold))
		p.steps = append(p.steps, s)
	}
	return p
}

// weighted lists the kinds, each as often as it weighs.
func weighted() (list []string) {
	for _, k := range kinds {
		for range k.weight {
			list = append(list, k.name)
		}
	}
	return list
}

func (p plan) String() string {
	lines := []string{fmt.Sprintf("%d nodes, leader leases %v, clocks within %d per mille, keys in %d ranges", p.nodes, p.leaderLease, p.drift, p.ranges)}
	for _, s := range p.steps {
		lines = append(lines, s.String())
	}
	return strings.Join(lines, "\n")
}
