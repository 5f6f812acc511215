package sim

import (
	"context"
	"time"

	"github.com/pontoon-kv/pontoon/sim/simnet"
)

// linkFaults make links between nodes worse. Those of clients stay as they are.
var linkFaults = []kind{
	{"isolate", 4, isolate},
	{"isolate half", 3, isolateHalf},
	{"cut", 4, cutPair},
	{"cut one way", 4, cutOneWay},
	{"slow", 3, slow},
	{"lossy", 3, lossy},
	{"far", 2, far},
}

// during shapes links for as long as the step holds.
func (n *nemesis) during(ctx context.Context, s step, shape simnet.Shape, links ...[2]*machine) error {
	n.note(s.kind)
	for _, l := range links {
		n.c.net.Set(l[0].host, l[1].host, shape)
	}
	sleep(ctx, s.hold)
	for _, l := range links {
		n.c.net.Set(l[0].host, l[1].host, n.c.net.Default())
	}
	return nil
}

// around are the links of a machine: from it, to it, or both.
func (n *nemesis) around(m *machine, from, to bool) (list [][2]*machine) {
	for _, other := range n.c.members() {
		if other == m {
			continue
		}
		if from {
			list = append(list, [2]*machine{m, other})
		}
		if to {
			list = append(list, [2]*machine{other, m})
		}
	}
	return list
}

func (n *nemesis) cut() simnet.Shape {
	s := n.c.net.Default()
	s.Cut = true
	return s
}

func isolate(ctx context.Context, n *nemesis, s step) error {
	return n.during(ctx, s, n.cut(), n.around(n.victim(s, 0), true, true)...)
}

// isolateHalf: a machine hears everybody and nobody hears it, or the other way
// round.
func isolateHalf(ctx context.Context, n *nemesis, s step) error {
	deaf := s.pick(1, 2) == 0
	return n.during(ctx, s, n.cut(), n.around(n.victim(s, 0), !deaf, deaf)...)
}

func cutPair(ctx context.Context, n *nemesis, s step) error {
	a, b := n.two(s)
	return n.during(ctx, s, n.cut(), [2]*machine{a, b}, [2]*machine{b, a})
}

func cutOneWay(ctx context.Context, n *nemesis, s step) error {
	a, b := n.two(s)
	return n.during(ctx, s, n.cut(), [2]*machine{a, b})
}

// two draws two machines.
func (n *nemesis) two(s step) (a, b *machine) {
	all := n.c.members()
	i := s.pick(0, len(all))
	j := (i + 1 + s.pick(1, len(all)-1)) % len(all)
	return all[i], all[j]
}

// slow lets little through.
func slow(ctx context.Context, n *nemesis, s step) error {
	shape := n.c.net.Default()
	shape.BytesPerSecond = 2_000 << s.pick(1, 6)
	return n.during(ctx, s, shape, n.around(n.victim(s, 0), true, s.pick(2, 2) == 0)...)
}

func lossy(ctx context.Context, n *nemesis, s step) error {
	shape := n.c.net.Default()
	shape.LossPerMille = 10 << s.pick(1, 5)
	return n.during(ctx, s, shape, n.around(n.victim(s, 0), true, true)...)
}

// far puts a machine onto another continent.
func far(ctx context.Context, n *nemesis, s step) error {
	shape := simnet.Shape{Delay: time.Duration(20+s.pick(1, 200)) * time.Millisecond, Jitter: 50 * time.Millisecond}
	return n.during(ctx, s, shape, n.around(n.victim(s, 0), true, true)...)
}
