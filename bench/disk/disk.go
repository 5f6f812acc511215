package disk

import (
	"math/rand/v2"
	"sync"
	"time"
)

// capacity is the size of a disk, far more than a run writes: what is full is
// filled on purpose.
const capacity = 8 << 30

// Disk is one node's disk, mounted at a directory. It is safe for concurrent use.
type Disk struct {
	path  string
	mount mount

	mu      sync.Mutex
	root    *dir
	inos    uint64
	ballast int64         // bytes taken by nobody
	syncs   time.Duration // what a sync takes
	stalled chan struct{} // closed when it goes on; nil: it does
}

// New mounts an empty disk at a directory, which must exist. Close takes it away.
func New(path string) (*Disk, error) {
	d := &Disk{path: path, root: newDir(1, 0o700), inos: 1}
	m, err := mountAt(path, d)
	if err != nil {
		return nil, err
	}
	d.mount = m
	return d, nil
}

// LosePower forgets what was not synced, but for a part: each block, and each next
// change of a directory, stays with a chance of kept percent. Nothing may have a
// file of the disk open: kill the process first, and wait for its end.
func (d *Disk) LosePower(kept int, seed uint64) error {
	d.GoOn()
	if err := d.mount.end(); err != nil {
		return err
	}
	d.mu.Lock()
	d.root.lose(rand.New(rand.NewPCG(seed, 0)), kept)
	d.mu.Unlock()
	m, err := mountAt(d.path, d)
	if err == nil {
		d.mount = m
	}
	return err
}

// SlowSyncs makes every sync take so long; 0: no time.
func (d *Disk) SlowSyncs(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs = t
}

// Stall holds up whatever writes or syncs, until GoOn.
func (d *Disk) Stall() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stalled == nil {
		d.stalled = make(chan struct{})
	}
}

// GoOn ends a stall.
func (d *Disk) GoOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stalled != nil {
		close(d.stalled)
		d.stalled = nil
	}
}

// Fill takes all room but so many bytes.
func (d *Disk) Fill(leave int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ballast = 0
	d.ballast = max(0, d.freeLocked()-leave)
}

// Empty gives the room back that Fill took.
func (d *Disk) Empty() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ballast = 0
}

// Close unmounts the disk; its content is gone.
func (d *Disk) Close() error {
	d.GoOn()
	return d.mount.end()
}

func (d *Disk) freeLocked() int64 { return max(0, capacity-d.ballast-d.root.bytes()) }

func (d *Disk) nextIno() uint64 {
	d.inos++
	return d.inos
}

// pass holds an operation up that changes something, as long as it must wait.
func (d *Disk) pass() {
	for {
		d.mu.Lock()
		stalled := d.stalled
		d.mu.Unlock()
		if stalled == nil {
			return
		}
		<-stalled
	}
}

// passSync holds a sync up.
func (d *Disk) passSync() {
	d.mu.Lock()
	slow := d.syncs
	d.mu.Unlock()
	time.Sleep(slow)
	d.pass()
}
