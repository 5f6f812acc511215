package rangeraft

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// load is what a range is asked for. The counters only rise and cost an atomic
// addition each; averages are brought up to date when somebody reads them, so
// an idle range costs nothing.
type load struct {
	writes     atomic.Int64 // requests evaluated
	reads      atomic.Int64
	writeBytes atomic.Int64 // of entries proposed
	busy       atomic.Int64 // nanoseconds in which the worker had a turn
	recent     recent

	mu      sync.Mutex
	span    proto.Span // what the averages are of
	started leaderlease.Nanos
	read    leaderlease.Nanos // last time
	last    [loadFigures]int64
	average [loadFigures]float64 // per second
}

const loadFigures = 4

const (
	// loadTau is the time constant of the averages: what is older than twice as
	// much hardly counts.
	loadTau = 15 * time.Second
	// loadWarmup is how long a young average is taken for older than it is, so
	// that a burst at the beginning does not look like a habit.
	loadWarmup = 5 * time.Second
	// loadTiny is the rate per second below which an average is zero.
	loadTiny = 1e-3
)

// noLoad is the load of every range that nobody asks for anything.
var noLoad = &pontoonpb.RangeLoad{}

func (l *load) countRead(span proto.Span) {
	l.reads.Add(1)
	l.recent.touch(span)
}

func (l *load) countWrite(span proto.Span) {
	l.writes.Add(1)
	l.recent.touch(span)
}

// turn notes a turn of the worker.
func (l *load) turn(began time.Time) { l.busy.Add(int64(time.Since(began))) }

func (l *load) counts() [loadFigures]int64 {
	return [loadFigures]int64{l.writes.Load(), l.reads.Load(), l.writeBytes.Load(), l.busy.Load()}
}

// restart forgets what was: another leadership begins.
func (l *load) restart(span proto.Span, now leaderlease.Nanos) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.restartLocked(span, now)
}

func (l *load) restartLocked(span proto.Span, now leaderlease.Nanos) {
	l.span, l.started, l.read = span, now, now
	l.last, l.average = l.counts(), [loadFigures]float64{}
	l.recent.forget()
}

// now returns the averages over the span. After a split or a merge they begin
// anew: what the range was asked for says nothing of what it will be asked for.
func (l *load) now(span proto.Span, now leaderlease.Nanos) *pontoonpb.RangeLoad {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.span.Equal(span) {
		l.restartLocked(span, now)
	}
	l.ageLocked(now)
	if l.average == [loadFigures]float64{} {
		l.recent.forget()
		return noLoad
	}
	age := max(time.Duration(now-l.started), loadWarmup)
	weight := 1 - math.Exp(-age.Seconds()/loadTau.Seconds())
	return &pontoonpb.RangeLoad{
		WritesPerSecond: l.average[0] / weight, ReadsPerSecond: l.average[1] / weight,
		WriteBytesPerSecond: l.average[2] / weight,
		Busy:                min(1, l.average[3]/weight/float64(time.Second)),
	}
}

// ageLocked brings the averages up to date.
func (l *load) ageLocked(now leaderlease.Nanos) {
	dt := time.Duration(now - l.read).Seconds()
	if dt <= 0 {
		return
	}
	counts := l.counts()
	keep := math.Exp(-dt / loadTau.Seconds())
	for i := range counts {
		rate := float64(counts[i]-l.last[i]) / dt
		l.average[i] = l.average[i]*keep + rate*(1-keep)
		if l.average[i] < loadTiny {
			l.average[i] = 0
		}
	}
	// Turns for ticks alone are no load: without requests busy does not count.
	if l.average[0] == 0 && l.average[1] == 0 {
		l.average = [loadFigures]float64{}
	}
	l.last, l.read = counts, now
}
