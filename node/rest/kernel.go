package rest

import "time"

// Figures of a process.
type Figures struct {
	Allocated uint64 // bytes ever
	Live      uint64 // bytes in use after the last collection
	Scanned   uint64 // bytes of them that may hold pointers
	Held      uint64 // bytes of heap that the process holds: in use, garbage, and free
}

// Decision is what to do now.
type Decision struct {
	Percent  int  // of the collector: garbage to what is in use
	GiveBack bool // collect, and return what is free
}

const (
	// LookEvery is the time between two looks.
	LookEvery = time.Second
	// window is how many looks what was allocated is counted over.
	window = 10
	// calm is what a process at rest allocates in a window at most. Garbage of
	// that rate is collected every four seconds at the least slack.
	calm = 80 << 20
	// least is what garbage may grow by at rest, however little is in use.
	least = 32 << 20
	// share of what the collector walks through is what it may grow by beyond.
	share = 2
	// worth is what must be won by giving memory back.
	worth = 8 << 20

	busyPercent = 100
)

// kernel decides. It knows neither clocks nor the runtime.
type kernel struct {
	allocated [window]uint64 // at the looks before, oldest at next
	next      int
	looks     int
	since     int // looks since memory was given back
	resting   bool
}

// decide is called once every LookEvery.
func (k *kernel) decide(f Figures) Decision {
	oldest := k.allocated[k.next]
	k.allocated[k.next] = f.Allocated
	k.next = (k.next + 1) % window
	k.looks++
	k.since++
	if k.looks <= window || f.Allocated-oldest > calm {
		k.resting = false
		return Decision{Percent: busyPercent}
	}
	slack := max(least, f.Scanned/share)
	d := Decision{Percent: busyPercent}
	if f.Live > slack {
		d.Percent = max(1, int(slack*100/f.Live))
	}
	// What the last collection found in use may be what the burst used.
	if k.since > window && (!k.resting || f.Held > f.Live+slack+worth) {
		d.GiveBack, k.since, k.resting = true, 0, true
	}
	return d
}
