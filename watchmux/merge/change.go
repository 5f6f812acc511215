package merge

import (
	"cmp"
	"slices"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Change is one event, shared by all watchers that see it. Event is never
// changed.
type Change struct {
	Event *mvccpb.Event
	Rev   proto.Revision
	Sub   int64
	// Prev remembers the looked up previous value for all who ask for it.
	Prev atomic.Pointer[Prev]
}

// Prev is the outcome of a look-up of a previous value.
type Prev struct {
	KV *mvccpb.KeyValue // nil: there is none
}

// NewChange wraps an event of a feed or a history page.
func NewChange(e *pontoonpb.ChangeEvent) *Change {
	return &Change{Event: e.Event, Rev: proto.Revision(e.Event.Kv.ModRevision), Sub: e.Sub}
}

// NewChanges wraps events in order.
func NewChanges(events []*pontoonpb.ChangeEvent) []*Change {
	changes := make([]*Change, len(events))
	for i, e := range events {
		changes[i] = NewChange(e)
	}
	return changes
}

// Creates reports whether the event created its key: such have no previous
// value.
func (c *Change) Creates() bool {
	return c.Event.Type == mvccpb.Event_PUT && c.Event.Kv.CreateRevision == c.Event.Kv.ModRevision
}

func (c *Change) key() []byte { return c.Event.Kv.Key }

// size is what the change costs in a queue.
func (c *Change) size() int {
	const overhead = 192
	return len(c.Event.Kv.Key) + len(c.Event.Kv.Value) + overhead
}

// sortChanges orders by revision, then by position within it (P17).
func sortChanges(cs []*Change) {
	slices.SortStableFunc(cs, func(a, b *Change) int {
		if c := cmp.Compare(a.Rev, b.Rev); c != 0 {
			return c
		}
		return cmp.Compare(a.Sub, b.Sub)
	})
}

// cutAbove returns how many of the sorted changes are at or below rev.
func cutAbove(cs []*Change, rev proto.Revision) int {
	n, _ := slices.BinarySearchFunc(cs, rev+1, func(c *Change, r proto.Revision) int { return cmp.Compare(c.Rev, r) })
	return n
}

// nextRun returns the end of the run of one revision that starts at i.
func nextRun(cs []*Change, i int) int {
	j := i + 1
	for j < len(cs) && cs[j].Rev == cs[i].Rev {
		j++
	}
	return j
}
