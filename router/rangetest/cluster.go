package rangetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router/txn"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Version is one change of a user key.
type Version struct {
	Rev, Sub int64
	KV       *mvccpb.KeyValue // nil: deleted
}

// Cluster is the model. All methods are safe for concurrent use.
type Cluster struct {
	// Faults is asked before every call; nil: none. Set it before use.
	Faults func(op *pontoonpb.RangeOp) Fault
	// Delay is how long a message travels, each way; nil: no time. Set it before
	// use.
	Delay func() time.Duration
	// Blocked is how long something waits for a lock before its txn is finished
	// from its record (P32).
	Blocked time.Duration

	mu       sync.Mutex
	changed  chan struct{}           // closed and replaced whenever a lock goes
	ranges   []*pontoonpb.Descriptor // key order
	nextID   uint64
	seq      int64
	floor    int64
	versions map[string][]Version // by etcd key, oldest first
	sys      map[string][]byte
	leases   map[int64]*pontoonpb.LeaseRecord
	locks    []*lock
	records  map[string]*pontoonpb.TxnRecord
	aborted  map[string]bool
	calls    map[string]int
}

// Fault is what goes wrong with one call.
type Fault int

const (
	None       Fault = iota
	LostBefore       // the node never saw it, the caller does not know: AMBIGUOUS
	LostAfter        // done, but the reply is lost: AMBIGUOUS
	Redirect         // NOT_LEADER with the right hint
	Refuse           // NOT_PROPOSED
	Late             // AMBIGUOUS to the caller, done some time later
)

type lock struct {
	*pontoonpb.Lock
	span proto.Span
	id   string
}

// New returns a cluster whose user span is split at the given etcd keys.
func New(splits ...string) *Cluster {
	c := &Cluster{
		Blocked: 300 * time.Millisecond, changed: make(chan struct{}), nextID: 4, seq: 1, floor: -1,
		versions: make(map[string][]Version), sys: make(map[string][]byte),
		leases: make(map[int64]*pontoonpb.LeaseRecord), records: make(map[string]*pontoonpb.TxnRecord),
		calls: make(map[string]int), aborted: make(map[string]bool),
	}
	for i, s := range []proto.Span{keys.MetaSpan, keys.LeaseSpan, keys.UserSpan} {
		c.ranges = append(c.ranges, &pontoonpb.Descriptor{
			RangeId: uint64(i + 1), Span: s.Wire(), Generation: 1,
			Replicas: []*pontoonpb.Replica{{NodeId: 1}, {NodeId: 2}, {NodeId: 3}},
		})
	}
	for _, k := range splits {
		c.Split(keys.User([]byte(k)))
	}
	return c
}

// Root returns the root range's descriptor.
func (c *Cluster) Root() *pontoonpb.Descriptor { return c.ranges[0] }

// Split splits a range at an internal key; locks across it are cut in two.
func (c *Cluster) Split(at []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.indexLocked(at)
	d := c.ranges[i]
	if bytes.Equal(d.Span.Start, at) {
		return
	}
	left := &pontoonpb.Descriptor{
		RangeId: d.RangeId, Replicas: d.Replicas, Generation: d.Generation + 1,
		Span: &pontoonpb.Span{Start: d.Span.Start, End: at},
	}
	right := &pontoonpb.Descriptor{
		RangeId: c.nextID, Replicas: d.Replicas, Generation: d.Generation + 1,
		Span: &pontoonpb.Span{Start: at, End: d.Span.End},
	}
	c.nextID++
	c.ranges = slices.Replace(c.ranges, i, i+1, left, right)
	for _, l := range slices.Clone(c.locks) {
		if l.span.Contains(at) && !bytes.Equal(l.span.Start, at) {
			cut := *l
			cut.span.Start, l.span.End = at, at
			c.locks = append(c.locks, &cut)
		}
	}
}

func (c *Cluster) indexLocked(key []byte) int {
	return sort.Search(len(c.ranges), func(i int) bool { return bytes.Compare(c.ranges[i].Span.End, key) > 0 })
}

// Lookup implements router.Directory.
func (c *Cluster) Lookup(_ context.Context, key []byte) (*pontoonpb.Descriptor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ranges[c.indexLocked(key)], nil
}

// ReadRevision implements txn.Sequencer.
func (c *Cluster) ReadRevision(ctx context.Context) (txn.Read, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return txn.Read{Revision: proto.Revision(c.seq), Floor: proto.Revision(c.floor)}, ctx.Err()
}

// PushClosed implements router.Replicas: everything is closed already.
func (c *Cluster) PushClosed(proto.Revision) {}

// Closed implements router.Replicas: everything is here, closed at the last
// number unless a write lock holds it back.
func (c *Cluster) Closed(span proto.Span) (proto.Revision, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	closed := c.seq
	for _, l := range c.locks {
		if l.What.Mode != pontoonpb.LockMode_LOCK_SHARED && l.span.Overlaps(span) {
			closed = min(closed, l.Floor)
		}
	}
	return proto.Revision(closed), true
}

// Register implements txn.LeaseHome.
func (c *Cluster) Register(_ context.Context, id proto.LeaseID, span proto.Span) (uint64, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.leases[int64(id)]
	if l == nil || c.conflictLocked("", keys.Point(keys.Lease(id)), false) {
		return 0, false, nil
	}
	l.Registered = append(l.Registered, span.Wire())
	return l.Incarnation, true, nil
}

// Grant makes a lease.
func (c *Cluster) Grant(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leases[id] = &pontoonpb.LeaseRecord{Id: id, TtlSeconds: 60, Incarnation: uint64(len(c.leases) + 1)}
}

// Calls returns how many operations of a kind were served, such as "lock".
func (c *Cluster) Calls(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[kind]
}

// Revision is the last number.
func (c *Cluster) Revision() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seq
}

// Leftovers describes locks and records that are still there.
func (c *Cluster) Leftovers() (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.locks {
		out = append(out, fmt.Sprintf("lock %v %q of %s", l.What.Mode, l.span.Start, l.id))
	}
	for id, r := range c.records {
		out = append(out, fmt.Sprintf("record %v of %s", r.State, id))
	}
	return out
}

// Changes returns all changes of one revision in order of sub.
func (c *Cluster) Changes(rev int64) []Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Version
	for key, vs := range c.versions {
		for _, v := range vs {
			if v.Rev == rev {
				if v.KV == nil {
					v.KV = &mvccpb.KeyValue{Key: []byte(key)}
				}
				out = append(out, v)
			}
		}
	}
	slices.SortFunc(out, func(a, b Version) int { return int(a.Sub - b.Sub) })
	return out
}
