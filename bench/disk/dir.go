package disk

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// entry is what a name leads to: a file or a directory.
type entry interface {
	lose(rng *rand.Rand, kept int)
	bytes() int64
}

// change is one atomic change of a directory: names, and what they lead to from
// then on, nil for nothing.
type change map[string]entry

// dir is a directory: its names as they are read, and as the disk has them.
type dir struct {
	ino     uint64
	mode    uint32
	entries map[string]entry
	onDisk  map[string]entry
	changes []change // since the last sync
}

func newDir(ino uint64, mode uint32) *dir {
	return &dir{ino: ino, mode: mode, entries: map[string]entry{}, onDisk: map[string]entry{}}
}

func (d *dir) change(c change) {
	c.apply(d.entries)
	d.changes = append(d.changes, c)
}

func (c change) apply(to map[string]entry) {
	for name, e := range c {
		if e == nil {
			delete(to, name)
		} else {
			to[name] = e
		}
	}
}

func (d *dir) sync() { d.keep(len(d.changes)) }

// keep brings the first n changes to the disk.
func (d *dir) keep(n int) {
	for _, c := range d.changes[:n] {
		c.apply(d.onDisk)
	}
	d.changes = nil
}

// lose is a loss of power. A prefix of the changes since the last sync stays:
// none at 0 percent, all at 100.
func (d *dir) lose(rng *rand.Rand, kept int) {
	n := 0
	for n < len(d.changes) && rng.IntN(100) < kept {
		n++
	}
	d.keep(n)
	d.entries = maps.Clone(d.onDisk)
	for _, name := range slices.Sorted(maps.Keys(d.entries)) {
		d.entries[name].lose(rng, kept)
	}
}

func (d *dir) bytes() (sum int64) {
	for _, e := range d.entries {
		sum += e.bytes()
	}
	return sum
}
