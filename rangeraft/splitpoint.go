package rangeraft

import (
	"bytes"
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

const (
	// splitSamples is how many sampled requests say where a range is hot.
	splitSamples = 64
	// splitShare is the most of the sampled load that one side may keep: a split
	// that leaves more where it was would not help.
	splitShare = 0.75
)

// doSplitPoint answers with the key at which the range is best split, none if
// splitting would not help. It is a hint: nothing is promised by it.
func (r *Replica) doSplitPoint(op *pontoonpb.SplitPointOp) *pontoonpb.RangeReply {
	if r.servingTerm.Load() == 0 {
		return refusal(proto.NotLeader(proto.NodeID(r.leaderNode.Load())))
	}
	span := r.span()
	inside := span
	if keys.MetaSpan.Contains(inside.Start) {
		inside.Start = keys.MetaSpan.End // the root range's part is never split
	}
	var key []byte
	if !inside.Empty() {
		switch op.By {
		case pontoonpb.SplitBy_SPLIT_BY_LOAD:
			key = loadSplitPoint(inside, r.load.recent.within(inside))
		default:
			middle, _, err := r.s.opts.Engine.MiddleKey(inside)
			if err != nil {
				return refusal(unavailable("%v", err))
			}
			key = splitKey(middle)
		}
	}
	if !span.Contains(key) || bytes.Equal(key, span.Start) {
		key = nil
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SplitPoint{SplitPoint: &pontoonpb.SplitPointReply{Key: key}}}
}

// leaseKeyLen is the length of a lease record's key.
var leaseKeyLen = len(keys.Lease(0))

// splitKey returns where a range may be split so that key begins the right
// side: between leases, not inside of what belongs to one. nil: nowhere.
func splitKey(key []byte) []byte {
	if !keys.LeaseSpan.Contains(key) {
		return key
	}
	if len(key) < leaseKeyLen {
		return nil
	}
	return key[:leaseKeyLen]
}

// loadSplitPoint returns the key that halves what was sampled, nil if there
// are too few samples or if no key does: a single hot key is not split. A span
// across the key is work for both sides.
func loadSplitPoint(span proto.Span, samples []sample) []byte {
	if len(samples) < splitSamples {
		return nil
	}
	starts, ends := make([][]byte, 0, len(samples)), make([][]byte, 0, len(samples))
	for _, s := range samples {
		starts = append(starts, s.start)
		if len(s.end) == 0 {
			ends = append(ends, keys.Next(s.start))
		} else {
			ends = append(ends, s.end)
		}
	}
	slices.SortFunc(starts, bytes.Compare)
	slices.SortFunc(ends, bytes.Compare)
	var best []byte
	least := int(splitShare * float64(len(samples)))
	for _, s := range starts {
		at := splitKey(s)
		if at == nil || !span.Contains(at) || bytes.Equal(at, span.Start) || bytes.Equal(at, best) {
			continue
		}
		// The left side works for what starts before the key, the right side for
		// what ends after it.
		left, _ := slices.BinarySearchFunc(starts, at, bytes.Compare)
		ended, exact := slices.BinarySearchFunc(ends, at, bytes.Compare)
		for exact && ended < len(ends) && bytes.Equal(ends[ended], at) {
			ended++
		}
		if more := max(left, len(ends)-ended); more < least {
			best, least = at, more
		}
	}
	return best
}
