package rangeraft

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// sizeUnknown is the size of a range that was never measured here.
const sizeUnknown int64 = -1

const (
	sizeMaxAge     = 15 * time.Second // of a range that changes
	sizeMaxIdleAge = 10 * time.Minute // of one that does not: compactions alone shrink it
	// sizesPerSecond and sizesAtOnce bound how many ranges of the store are
	// measured.
	sizesPerSecond = 100
	sizesAtOnce    = 1000
)

// sizeEstimate remembers what the engine said of a range's size, and counts
// what was applied since it last flushed, which the engine does not tell.
type sizeEstimate struct {
	applied atomic.Int64 // bytes of entries applied by this replica

	mu      sync.Mutex
	span    proto.Span // of the measurement
	bytes   int64      // on disk
	at      leaderlease.Nanos
	index   proto.Index // applied by then
	seen    int64       // value of applied by then
	flushed int64       // of applied, this much is on disk for sure
	flushes int64       // of the engine, by then
}

// sizeBudget is how many measurements the store may make now.
type sizeBudget struct {
	mu   sync.Mutex
	left float64
	at   leaderlease.Nanos
}

func (b *sizeBudget) take(now leaderlease.Nanos) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at == 0 {
		b.left = sizesAtOnce
	} else {
		b.left = min(sizesAtOnce, b.left+time.Duration(now-b.at).Seconds()*sizesPerSecond)
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// sizeNow estimates the bytes of the range, sizeUnknown if it was not measured
// yet and many others were just now.
func (r *Replica) sizeNow(span proto.Span, index proto.Index) int64 {
	z, engine := &r.size, r.s.opts.Engine
	z.mu.Lock()
	defer z.mu.Unlock()
	now, flushes := r.s.opts.Now(), engine.Flushes()
	known := z.at != 0 && z.span.Equal(span)
	if known {
		age := time.Duration(now - z.at)
		changed := index != z.index || flushes != z.flushes && z.seen > z.flushed
		if age < sizeMaxAge || !changed && age < sizeMaxIdleAge {
			return z.bytes + z.applied.Load() - z.flushed
		}
	}
	if !r.s.sizing.take(now) {
		if known {
			return z.bytes + z.applied.Load() - z.flushed
		}
		return sizeUnknown
	}
	applied := z.applied.Load()
	bytes, err := engine.SizeOf(span)
	if err != nil {
		return sizeUnknown
	}
	if flushes != z.flushes {
		// A memtable was written out since: it held all that was applied before the
		// last measurement, and perhaps more.
		if z.flushed = z.seen; z.at == 0 {
			z.flushed = applied
		}
	}
	z.span, z.bytes, z.at, z.index, z.seen, z.flushes = span, bytes, now, index, applied, flushes
	return bytes + applied - z.flushed
}

// halve gives half of what is not on disk yet to the right side of a split.
func (z *sizeEstimate) halve(right *sizeEstimate) {
	z.mu.Lock()
	defer z.mu.Unlock()
	half := (z.applied.Load() - z.flushed) / 2
	z.flushed += half
	right.applied.Store(half)
	right.flushes = z.flushes
}

// absorb takes over what the right side of a merge has not on disk yet.
func (z *sizeEstimate) absorb(right *sizeEstimate) {
	right.mu.Lock()
	defer right.mu.Unlock()
	z.applied.Add(right.applied.Load() - right.flushed)
}
