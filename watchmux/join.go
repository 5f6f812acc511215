package watchmux

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// joinPartsLocked joins neighbouring parts whose ranges were merged, so that
// splits and merges do not leave more and more feeds behind. Parts that are not
// closed alike are met so at another time.
func (s *Service) joinPartsLocked() {
	parts := s.kernel.Parts()
	for i := 1; i < len(parts); i++ {
		p, q := parts[i-1], parts[i]
		left, right := s.runners[p], s.runners[q]
		if left == nil || right == nil || !inOneRange(left.desc, right.desc, p.Span(), q.Span()) {
			continue
		}
		joined := s.kernel.JoinParts(p, q)
		if joined == nil {
			continue
		}
		left.cancel()
		right.cancel()
		s.startLocked(joined)
		parts[i] = joined
	}
	s.afterLocked()
}

// inOneRange reports whether the newer of two descriptors of one range holds
// both spans: the left feed outlives the merge that the right one was told of.
// Should it have been split since, the joined part is cut again.
func inOneRange(a, b *pontoonpb.Descriptor, p, q proto.Span) bool {
	if a == nil || b == nil || a.RangeId != b.RangeId {
		return false
	}
	if b.Generation > a.Generation {
		a = b
	}
	span := proto.SpanOf(a.Span)
	return span.Covers(p) && span.Covers(q)
}
