package feed

import (
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// batch is what one entry changed.
type batch struct {
	index  proto.Index
	events []*pontoonpb.ChangeEvent
	bytes  int
	high   proto.Revision // highest revision among events
}

// ring keeps the newest batches within a number of bytes. While off it keeps
// nothing but still knows what it misses.
type ring struct {
	on       bool
	limit    int
	bytes    int
	items    []batch
	first    int            // items[first:] are held
	evicted  proto.Revision // highest revision published and not held (I2)
	sinceOff int            // bytes published since the last subscriber left
}

func (r *ring) push(b batch) {
	if !r.on {
		r.evicted = max(r.evicted, b.high)
		return
	}
	r.items = append(r.items, b)
	r.bytes += b.bytes
	for r.bytes > r.limit && r.first < len(r.items) {
		old := r.items[r.first]
		r.items[r.first] = batch{}
		r.first++
		r.bytes -= old.bytes
		r.evicted = max(r.evicted, old.high)
	}
	if r.first > 64 && r.first*2 > len(r.items) {
		n := copy(r.items, r.items[r.first:])
		clear(r.items[n:])
		r.items, r.first = r.items[:n], 0
	}
}

// drop forgets everything held and stops holding.
func (r *ring) drop() {
	for _, b := range r.items[r.first:] {
		r.evicted = max(r.evicted, b.high)
	}
	r.items, r.first, r.bytes, r.on = nil, 0, 0, false
}

// narrow forgets changes outside the span.
func (r *ring) narrow(span proto.Span) {
	var kept []batch
	r.bytes = 0
	for _, b := range r.held() {
		events := slices.DeleteFunc(slices.Clone(b.events), func(e *pontoonpb.ChangeEvent) bool {
			return !span.Contains(internalKey(e))
		})
		if len(events) > 0 {
			b = newBatch(b.index, events)
			kept, r.bytes = append(kept, b), r.bytes+b.bytes
		}
	}
	r.items, r.first = kept, 0
}

// serves reports whether every published change at or above from is held.
func (r *ring) serves(from proto.Revision) bool { return r.evicted < from }

func (r *ring) held() []batch { return r.items[r.first:] }

func newBatch(index proto.Index, events []*pontoonpb.ChangeEvent) batch {
	b := batch{index: index, events: events}
	for _, e := range events {
		b.bytes += sizeOf(e)
		b.high = max(b.high, revisionOf(e))
	}
	return b
}

func sizeOf(e *pontoonpb.ChangeEvent) int {
	const overhead = 256 // structs and slice headers
	kv := e.GetEvent().GetKv()
	return len(kv.GetKey()) + len(kv.GetValue()) + overhead
}

func revisionOf(e *pontoonpb.ChangeEvent) proto.Revision {
	return proto.Revision(e.GetEvent().GetKv().GetModRevision())
}
