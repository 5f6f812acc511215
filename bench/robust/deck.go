package robust

import (
	"context"
	"math/rand/v2"
	"slices"
)

// fault is a kind of harm.
type fault struct {
	name   string
	weight int // how many cards of a deck
	do     func(n *nemesis, ctx context.Context) error
}

// faultsOf are the kinds of a mode. ModeElastic has its own way.
func faultsOf(m Mode, disks bool) []fault {
	switch m {
	case ModeCrash:
		return crashFaults
	case ModeNet:
		return netFaults
	case ModeAll:
		all := slices.Concat(crashFaults, netFaults)
		if disks {
			all = append(all, diskFaults...)
		}
		return all
	}
	return nil
}

func names(kinds []fault) (list []string) {
	for _, k := range kinds {
		list = append(list, k.name)
	}
	return list
}

// deck deals faults: shuffled, and all of them before any comes again, so that a
// run that is long enough leaves none out.
type deck struct {
	kinds []fault
	rng   *rand.Rand
	left  []fault
}

func newDeck(kinds []fault, seed uint64) *deck {
	return &deck{kinds: kinds, rng: rand.New(rand.NewPCG(seed, 1<<63))}
}

func (d *deck) deal() fault {
	if len(d.left) == 0 {
		for _, k := range d.kinds {
			for range k.weight {
				d.left = append(d.left, k)
			}
		}
		d.rng.Shuffle(len(d.left), func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
	}
	next := d.left[len(d.left)-1]
	d.left = d.left[:len(d.left)-1]
	return next
}
