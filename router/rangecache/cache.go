package rangecache

import (
	"bytes"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Cache is safe for concurrent use. Descriptors in it are never modified.
type Cache struct {
	mu      sync.Mutex // serialises writers
	byEnd   atomic.Pointer[[]*pontoonpb.Descriptor]
	leaders sync.Map // proto.RangeID -> proto.NodeID
}

// New returns a cache that holds the given descriptors.
func New(known ...*pontoonpb.Descriptor) *Cache {
	c := &Cache{}
	c.byEnd.Store(new([]*pontoonpb.Descriptor))
	c.Insert(known...)
	return c
}

// Lookup returns the descriptor whose span holds key, nil if unknown.
func (c *Cache) Lookup(key []byte) *pontoonpb.Descriptor {
	all := *c.byEnd.Load()
	i := firstEndingAfter(all, key)
	if i == len(all) || bytes.Compare(all[i].Span.Start, key) > 0 {
		return nil
	}
	return all[i]
}

func firstEndingAfter(all []*pontoonpb.Descriptor, key []byte) int {
	return sort.Search(len(all), func(i int) bool { return bytes.Compare(all[i].Span.End, key) > 0 })
}

// Insert adds what is newer than the cache and drops what it replaces. It
// reports whether the cache changed.
func (c *Cache) Insert(descriptors ...*pontoonpb.Descriptor) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := false
	for _, d := range descriptors {
		if d.GetSpan() == nil || proto.SpanOf(d.Span).Empty() {
			continue
		}
		changed = c.insertLocked(d) || changed
	}
	return changed
}

func (c *Cache) insertLocked(d *pontoonpb.Descriptor) bool {
	all := *c.byEnd.Load()
	from := firstEndingAfter(all, d.Span.Start)
	to := from
	for ; to < len(all) && bytes.Compare(all[to].Span.Start, d.Span.End) < 0; to++ {
		same := all[to].RangeId == d.RangeId
		if all[to].Generation > d.Generation || same && all[to].Generation == d.Generation {
			return false
		}
	}
	next := slices.Replace(slices.Clone(all), from, to, d)
	c.byEnd.Store(&next)
	return true
}

// Evict forgets exactly this descriptor, so that it is looked up again.
func (c *Cache) Evict(d *pontoonpb.Descriptor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := *c.byEnd.Load()
	if i := slices.Index(all, d); i >= 0 {
		next := slices.Delete(slices.Clone(all), i, i+1)
		c.byEnd.Store(&next)
	}
}

// Leader returns the node last seen leading the range, 0 if unknown.
func (c *Cache) Leader(id proto.RangeID) proto.NodeID {
	if n, ok := c.leaders.Load(id); ok {
		return n.(proto.NodeID)
	}
	return 0
}

// SetLeader remembers the leader's node; 0 forgets it.
func (c *Cache) SetLeader(id proto.RangeID, node proto.NodeID) {
	if node == 0 {
		c.leaders.Delete(id)
		return
	}
	if c.Leader(id) != node {
		c.leaders.Store(id, node)
	}
}
