package saturation

import (
	"container/heap"
	"time"
)

// event happens at a moment of virtual time; those of one moment in the order
// in which they were made.
type event struct {
	when time.Duration
	n    uint64
	do   func()
}

type events struct {
	list []event
	made uint64
}

func (e *events) Len() int { return len(e.list) }
func (e *events) Less(i, j int) bool {
	a, b := &e.list[i], &e.list[j]
	return a.when < b.when || a.when == b.when && a.n < b.n
}
func (e *events) Swap(i, j int) { e.list[i], e.list[j] = e.list[j], e.list[i] }
func (e *events) Push(x any)    { e.list = append(e.list, x.(event)) }
func (e *events) Pop() any {
	last := e.list[len(e.list)-1]
	e.list[len(e.list)-1] = event{}
	e.list = e.list[:len(e.list)-1]
	return last
}

func (m *model) at(when time.Duration, do func()) {
	m.events.made++
	heap.Push(&m.events, event{when, m.events.made, do})
}

// until lets time pass.
func (m *model) until(end time.Duration) {
	for m.events.Len() > 0 && m.events.list[0].when < end {
		e := heap.Pop(&m.events).(event)
		m.now = e.when
		e.do()
	}
	m.now = end
}
