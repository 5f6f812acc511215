package admission

import (
	"slices"
	"time"
)

const (
	// slowAfter is longer than an answer takes on a node that keeps up.
	slowAfter = 250 * time.Millisecond
	// lookEvery is how often a node looks whether it does.
	lookEvery = 100 * time.Millisecond
	// measureFor is how long it counts answers for their rate, and remembered how many
	// such times back its best counts: an election or a slow sync does not make it a
	// slow node.
	measureFor = 500 * time.Millisecond
	remembered = 20
	// fewest answers say something.
	fewest = 16

	// longest is what a request waits for at most: then the node gives up itself.
	longest = 7 * time.Second
	// travel is what a request takes besides standing behind others on a node that has
	// too much to do: it is read, and its answer is carried back. Of what waits for
	// less than a second a portion is left to stand.
	travel  = 600 * time.Millisecond
	portion = 0.4
	// narrowest is how many are no queue, however slow the node is.
	narrowest = 16
)

// pace is what a node answers of late, and so which requests can be answered in
// time. While most answers are slow, those that are let in wait for those before them:
// as long as it takes to answer as many (Little's law). Whose client would be gone by
// then is better told at once.
//
// What stands over a while is a queue, what is gone before was a burst, as in CoDel
// (Nichols and Jacobson, "Controlling Queue Delay", 2012); the best of late as the
// measure of what fits is BBR's (Cardwell et al., "BBR: Congestion-Based Congestion
// Control", 2016).
type pace struct {
	crowded bool

	looked      time.Time // last
	seen        int       // answers since
	slow, quick int       // of those: longer than slowAfter, shorter than half of it

	measured time.Time // last
	ended    int       // answers since
	rates    [remembered]float64
	next     int     // of rates
	best     float64 // of rates, a second
}

func newPace(now time.Time) pace { return pace{looked: now, measured: now} }

// answered notes a request that took so long.
func (p *pace) answered(now time.Time, took time.Duration) {
	p.seen++
	p.ended++
	switch {
	case took > slowAfter:
		p.slow++
	case took < slowAfter/2:
		p.quick++
	}
	if since := now.Sub(p.measured); since >= measureFor && p.ended >= fewest {
		p.rates[p.next] = float64(p.ended) / since.Seconds()
		p.next = (p.next + 1) % remembered
		p.best = slices.Max(p.rates[:])
		p.measured, p.ended = now, 0
	}
	if now.Sub(p.looked) >= lookEvery && p.seen >= fewest {
		switch {
		case 2*p.slow > p.seen:
			p.crowded = true
		case 2*p.quick > p.seen:
			p.crowded = false
		}
		p.looked, p.seen, p.slow, p.quick = now, 0, 0, 0
	}
}

// perSecond is how many answers a node that does not keep up gives at its best; 0: it
// keeps up, or that is not known yet.
func (p *pace) perSecond() float64 {
	if !p.crowded {
		return 0
	}
	return p.best
}

// fits is how many requests may be under way so that one more is answered in time,
// with so many answered a second.
func fits(perSecond float64, wait time.Duration) int {
	wait = min(wait, longest)
	standing := max(wait-travel, time.Duration(float64(wait)*portion))
	return max(narrowest, int(perSecond*standing.Seconds()))
}
