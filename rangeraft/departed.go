package rangeraft

import (
	"sync"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// keptDeparted bounds the descriptors of ranges that left this node.
const keptDeparted = 256

// departed remembers where ranges are that had a replica here, so that who
// still asks here is told.
type departed struct {
	mu    sync.Mutex
	descs map[proto.RangeID]*pontoonpb.Descriptor
	order []proto.RangeID // oldest first
}

func newDeparted() *departed {
	return &departed{descs: map[proto.RangeID]*pontoonpb.Descriptor{}}
}

// note remembers a descriptor without this node.
func (p *departed) note(d *pontoonpb.Descriptor) {
	id := proto.RangeID(d.RangeId)
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, known := p.descs[id]; known && old.Generation >= d.Generation {
		return
	} else if !known {
		p.order = append(p.order, id)
	}
	p.descs[id] = d
	if len(p.order) > keptDeparted {
		delete(p.descs, p.order[0])
		p.order = p.order[1:]
	}
}

// overlapping returns the descriptors that say something of a span.
func (p *departed) overlapping(span proto.Span) (out []*pontoonpb.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.order {
		if d := p.descs[id]; proto.SpanOf(d.Span).Overlaps(span) || proto.SpanOf(d.Span).Contains(span.Start) {
			out = append(out, d)
		}
	}
	return out
}

// refusal is what a subscriber or caller of a removed replica is told.
func (p *departed) refusal(id proto.RangeID, span proto.Span) *proto.RangeError {
	if known := p.overlapping(span); len(known) > 0 {
		return proto.Mismatch(known...)
	}
	return proto.Errorf(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND, "range %d has no replica here", id)
}
