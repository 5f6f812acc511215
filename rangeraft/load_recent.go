package rangeraft

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// recent is a bounded sample of the spans that a range was asked for lately.
//
// One request in sampleOneIn is offered, drawn at random so that no pattern of
// the clients can hide from it. Until the sample is full each is taken, a short
// while after the one before; then one now and then replaces any other, so that
// a place lives for about sampleLife whatever the rate.
type recent struct {
	mu     sync.Mutex
	places []sample // nil until the range is asked for something
	next   time.Time
}

// sample is one request's span. The buffers are used again.
type sample struct {
	start []byte
	end   []byte // empty: the key start alone
}

const (
	sampleOneIn  = 8
	samplePlaces = 256
	sampleLife   = 20 * time.Second
	sampleFill   = 2 * time.Millisecond // between places while it fills
)

// touch offers a span.
func (c *recent) touch(span proto.Span) {
	if rand.Uint32()%sampleOneIn == 0 {
		c.add(span, time.Now())
	}
}

// add takes a span if it is time for one. It never waits.
func (c *recent) add(span proto.Span, now time.Time) {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if now.Before(c.next) {
		return
	}
	i, pause := len(c.places), sampleFill
	if i < samplePlaces {
		c.places = append(c.places, sample{})
	} else {
		i, pause = rand.IntN(samplePlaces), sampleLife/samplePlaces
	}
	c.next = now.Add(pause)
	p := &c.places[i]
	p.start = append(p.start[:0], span.Start...)
	p.end = p.end[:0]
	if !onlyKey(span.Start, span.End) {
		p.end = append(p.end, span.End...)
	}
}

// forget drops the sample and its memory.
func (c *recent) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places = nil
}

// within returns the sampled spans as far as they touch a span. They are the
// caller's.
func (c *recent) within(span proto.Span) []sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []sample
	for _, p := range c.places {
		if len(p.end) == 0 && !span.Contains(p.start) ||
			len(p.end) > 0 && !span.Overlaps(proto.Span{Start: p.start, End: p.end}) {
			continue
		}
		out = append(out, sample{bytes.Clone(p.start), bytes.Clone(p.end)})
	}
	return out
}
