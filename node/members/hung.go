package members

import (
	"context"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// hungAfter is how long a leaving member may hold nothing without taking its
// leave. A healthy one needs a second, and one more of a busy machine.
const hungAfter = time.Minute

// hung reports whether a leaving member answers and was emptied a while ago, but
// does not take its leave: its disk or one of its loops hangs. What the ranges say
// counts, not what it says itself: nothing gives it a replica any more, and one
// that was given in between would be replaced like those of a dead node. Only
// Settle calls it.
func (m *Members) hung(ctx context.Context, id proto.NodeID) (bool, error) {
	ranges, err := m.opts.Ranges.All(ctx)
	if err != nil {
		return false, err
	}
	if holdings(ranges, id) > 0 {
		delete(m.emptied, id)
		return false, nil
	}
	since, known := m.emptied[id]
	if !known {
		m.emptied[id] = time.Now()
		return false, nil
	}
	return time.Since(since) >= hungAfter, nil
}
