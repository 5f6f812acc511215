package storage

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// DropperOptions of Engine.StartDropper.
type DropperOptions struct {
	// PerSecond is the number of versions dropped a second; looking at one
	// costs a tenth of dropping it. Default 20000.
	PerSecond int
}

// Steps of a pass are short, so that pauses are, too.
const (
	dropStep        = 1024
	examineDiscount = 10
)

// Dropper drops the versions below the floors of the ranges of a node, one
// range at a time and at a bounded rate (P41). Of every key it keeps the newest
// version at or below the floor if it is live, and every change at the floor.
type Dropper struct {
	e    *Engine
	rate int
	log  *slog.Logger

	stop chan struct{}
	wake chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	queue   []proto.RangeID
	waiters map[proto.RangeID][]chan<- error // of the queued
}

// StartDropper starts dropping, with what an earlier run left. There must be
// one dropper at a time; Close it before the engine.
func (e *Engine) StartDropper(o DropperOptions) *Dropper {
	if o.PerSecond <= 0 {
		o.PerSecond = 20000
	}
	d := &Dropper{
		e: e, rate: o.PerSecond, log: e.log,
		stop: make(chan struct{}), wake: make(chan struct{}, 1), waiters: make(map[proto.RangeID][]chan<- error),
	}
	e.mu.Lock()
	for id, l := range e.logs {
		if s := l.snapshotState(); s.desc != nil && s.applied.Floor > 0 {
			d.queue = append(d.queue, id)
			d.waiters[id] = nil
		}
	}
	e.mu.Unlock()
	d.done.Add(1)
	go d.run()
	return d
}

// Request asks for a pass over the range. The channel gets one result: nil
// once everything below the floor that the range had at the request is
// dropped, ErrRangeNotFound, or ErrClosed.
func (d *Dropper) Request(id proto.RangeID) <-chan error {
	ch := make(chan error, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		ch <- ErrClosed
		return ch
	}
	ws, queued := d.waiters[id]
	if !queued {
		d.queue = append(d.queue, id)
	}
	d.waiters[id] = append(ws, ch)
	select {
	case d.wake <- struct{}{}:
	default:
	}
	return ch
}

// Close stops dropping; what is left goes on at the next start.
func (d *Dropper) Close() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.closed = true
	d.mu.Unlock()
	close(d.stop)
	d.done.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ws := range d.waiters {
		answer(ws, ErrClosed)
	}
	d.waiters = nil
}

func answer(ws []chan<- error, err error) {
	for _, w := range ws {
		w <- err
	}
}

func (d *Dropper) run() {
	defer d.done.Done()
	for {
		id, ws, ok := d.next()
		if !ok {
			select {
			case <-d.wake:
				continue
			case <-d.stop:
				return
			}
		}
		err := d.drop(id)
		answer(ws, err)
		if errors.Is(err, ErrClosed) {
			return
		}
		if err != nil && !errors.Is(err, ErrRangeNotFound) {
			d.log.Error("dropping old versions failed", "range", uint64(id), "err", err)
		}
	}
}

// next takes the oldest request.
func (d *Dropper) next() (proto.RangeID, []chan<- error, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 || d.closed {
		return 0, nil, false
	}
	id := d.queue[0]
	d.queue = d.queue[1:]
	ws := d.waiters[id]
	delete(d.waiters, id)
	return id, ws, true
}

// drop does one pass over a range.
func (d *Dropper) drop(id proto.RangeID) error {
	p, err := d.e.beginDrop(id)
	if err != nil || p == nil {
		return err
	}
	began := time.Now()
	for {
		cost, over, err := p.step(dropStep)
		if err != nil {
			return err
		}
		if over {
			d.e.metrics.dropDone(time.Since(began))
			return nil
		}
		pause := time.Duration(cost.dropped+cost.examined/examineDiscount) * time.Second / time.Duration(d.rate)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-d.stop:
			t.Stop()
			return ErrClosed
		}
	}
}
