package sim

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/faultfs"
)

// usualSync is how long a sync of a good disk takes at most.
const usualSync = 2 * time.Millisecond

// disk is what a machine keeps its data on. It can take its time over syncs, hold
// everything up, and refuse a write, which ends the node at that point: a node
// whose disk failed can promise nothing any more.
type disk struct {
	mu      sync.Mutex
	fs      *storage.FS
	rng     *rand.Rand
	slowest time.Duration // of a sync
	stalled chan struct{} // closed when it goes on; nil: it does
	left    int           // writes until one is refused; 0: none is
	refused func()        // called then
}

func newDisk(seed, machine uint64) *disk {
	return &disk{fs: storage.NewCrashableMemFS(), rng: rand.New(rand.NewPCG(seed, machine)), slowest: usualSync}
}

// mount is the disk as one life of a node has it.
func (d *disk) mount() *storage.FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	of := d.fs
	return faultfs.Wrap(of, func(op faultfs.Op, _ string) error {
		d.pass(op, of)
		return nil
	})
}

// crash forgets what was not synced, but for a part.
func (d *disk) crash(kept int, seed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fs = d.fs.CrashClone(kept, seed)
	d.left, d.refused = 0, nil
}

// pass lets an operation through when its time has come. What a dead node does
// passes at once: its disk is not there any more.
func (d *disk) pass(op faultfs.Op, of *storage.FS) {
	for {
		d.mu.Lock()
		if of != d.fs {
			d.mu.Unlock()
			return
		}
		stalled := d.stalled
		if stalled == nil {
			break
		}
		d.mu.Unlock()
		<-stalled
	}
	var wait time.Duration
	var refused func()
	switch op {
	case faultfs.Sync:
		wait = time.Duration(d.rng.Int64N(int64(d.slowest)))
	case faultfs.Write:
		if d.left > 0 {
			if d.left--; d.left == 0 {
				refused, d.refused = d.refused, nil
			}
		}
	}
	d.mu.Unlock()
	if refused != nil {
		refused()
	}
	if wait > 0 {
		time.Sleep(wait)
	}
}

// setSlowest changes how long a sync takes at most.
func (d *disk) setSlowest(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slowest = t
}

// stall holds everything up until the function returned is called.
func (d *disk) stall() (goOn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stalled != nil {
		return func() {}
	}
	stalled := make(chan struct{})
	d.stalled = stalled
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stalled = nil
		close(stalled)
	}
}

// refuse calls fn at a write to come.
func (d *disk) refuse(after int, fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.refused = after, fn
}
