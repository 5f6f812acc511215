package plan

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/placement/operator"
)

const (
	// hotShare above the mean, and hotFloor requests per second above it, make
	// a node hot.
	hotShare = 0.25
	hotFloor = 100
	// coolBy of the mean is what a move must take from the hotter of two nodes;
	// less, but no less than sipOf, is taken only where it leaves the other
	// node below cosy, far from hot.
	coolBy = 0.1
	sipOf  = 0.02
	cosy   = 1.1
)

// balanceLoad takes load from hot nodes: it hands the leadership of a range
// on, or moves the replica that leads. One range per node and plan, since the
// figures follow slowly.
func (p *planner) balanceLoad() {
	can := p.leading()
	if len(can) < 2 {
		return
	}
	var sum float64
	for _, n := range can {
		sum += p.nodes[n].load
	}
	mean := sum / float64(len(can))
	for _, from := range sortedBy(can, func(n int32) float64 { return -p.nodes[n].load }) {
		if p.nodes[from].load < mean*(1+hotShare)+hotFloor {
			return
		}
		if p.nodes[from].handing < handovers && !p.nodes[from].young {
			p.cool(from, can, mean)
		}
	}
}

// cooling is one way to take load from a node.
type cooling struct {
	r    *ranged
	to   int32
	back *ranged // led by to, comes in exchange, so that leader counts stay
	hot  float64 // load of the hotter of the two afterwards
}

// cool picks the way that leaves the cooler pair of nodes; a transfer before a
// move of data.
func (p *planner) cool(from int32, can []int32, mean float64) {
	best, data := cooling{to: none, hot: p.nodes[from].load}, cooling{to: none, hot: p.nodes[from].load}
	for i := range p.ranges {
		r := &p.ranges[i]
		if r.leader != from || !p.handable(r) || cost(r.Status.Load) < sipOf*mean {
			continue
		}
		for _, t := range can {
			if c := cost(r.Status.Load); max(p.nodes[from].load-c, p.nodes[t].load+c) >
				p.nodes[from].load-max(coolBy*mean, hotFloor/2) && p.nodes[t].load+c > cosy*mean {
				continue
			}
			p.consider(r, from, t, &best, &data)
		}
	}
	switch why := ""; {
	case best.to != none:
		why = p.hotWhy(from, best.to, best.r)
		p.emit(best.r, operator.BalanceLoad, why, p.transferSteps(best.r, best.to))
		if best.back != nil {
			p.emit(best.back, operator.BalanceLoad, why+", in exchange", p.transferSteps(best.back, from))
		}
	case data.to != none:
		r := data.r
		p.emit(r, operator.BalanceLoad, p.hotWhy(from, data.to, r),
			append(p.moveSteps(r, from, data.to), p.transferSteps(r, data.to)...))
	}
}

func (p *planner) hotWhy(from, to int32, r *ranged) string {
	return fmt.Sprintf("%s serves %.0f requests/s, %s %.0f; range %d %.0f", p.nodes[from].name, p.nodes[from].load,
		p.nodes[to].name, p.nodes[to].load, r.id, cost(r.Status.Load))
}

// consider looks at serving one range from another node.
func (p *planner) consider(r *ranged, from, to int32, best, data *cooling) {
	c, a, b := cost(r.Status.Load), &p.nodes[from], &p.nodes[to]
	hot := max(a.load-c, b.load+c)
	if to == from || b.young || hot >= best.hot && (hot >= data.hot || r.on(to)) {
		return
	}
	switch {
	case r.votes(to):
		back := (*ranged)(nil)
		if b.leaders+2-a.leaders >= p.gap { // the counts would be uneven
			if back = p.inExchange(to, from, c); back == nil {
				return
			}
		}
		*best = cooling{r, to, back, hot}
	case hot < data.hot && p.mayHost(r, from, to):
		*data = cooling{r, to, nil, hot}
	}
}

// mayHost reports whether the data may move, too: not to where there is more
// already.
func (p *planner) mayHost(r *ranged, from, to int32) bool {
	a, b := &p.nodes[from], &p.nodes[to]
	return p.canHold(r, to) && p.slot(r, to) && p.penaltyOf(to, r.members, from) <= p.penaltyOf(from, r.members, none) &&
		b.weight <= a.weight
}

// exchangeShare of the load that goes may come back.
const exchangeShare = 0.25

// inExchange finds a range with little load that goes the other way.
func (p *planner) inExchange(from, to int32, c float64) *ranged {
	for i := range p.ranges {
		r := &p.ranges[i]
		if r.leader == from && r.votes(to) && p.handable(r) && cost(r.Status.Load) <= exchangeShare*c {
			return r
		}
	}
	return nil
}
