package sim

import "context"

// clockFaults make clocks run fast or slow.
var clockFaults = []kind{{"drift", 5, drift}}

// drift changes the rate of one machine's clock, within what the plan allows.
func drift(ctx context.Context, n *nemesis, s step) error {
	m, most := n.victim(s, 0), n.plan.drift
	perMille := int64(s.draw[1]%uint64(2*most+1)) - most
	n.note(s.kind)
	m.clock.setDrift(perMille)
	sleep(ctx, 4*s.hold)
	m.clock.setDrift(0)
	return nil
}
