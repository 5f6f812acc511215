package members

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// CacheOptions configure a Cache.
type CacheOptions struct {
	// Read reads the records. It blocks until the root range answers.
	Read func(ctx context.Context) ([]*pontoonpb.NodeRecord, error)
	// OnChange is called, in order and never from two goroutines, with all
	// records after some changed.
	OnChange func([]*pontoonpb.NodeRecord)
	// OnMiss is called when the records could not be read.
	OnMiss func(ctx context.Context, err error)
	// Interval is how often the records are read without a hint. Default 5 s.
	Interval time.Duration
	// Timeout bounds one reading. Default 2 s.
	Timeout time.Duration
	Logger  *slog.Logger
}

// Cache keeps the records as this node last read them. Per record the newest
// one wins, so that no late reading takes anything back (M2).
type Cache struct {
	opts CacheOptions
	wake chan struct{}
	wg   sync.WaitGroup
	stop context.CancelFunc

	// telling is held while OnChange runs; taken before mu.
	telling sync.Mutex

	mu     sync.Mutex
	nodes  map[uint64]*pontoonpb.NodeRecord
	hinted uint64 // newest revision anybody told of
}

// NewCache returns a cache that begins with what is known already.
func NewCache(opts CacheOptions, known []*pontoonpb.NodeRecord) *Cache {
	if opts.Interval <= 0 {
		opts.Interval = 5 * time.Second
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 2 * time.Second
	}
	c := &Cache{opts: opts, wake: make(chan struct{}, 1), nodes: map[uint64]*pontoonpb.NodeRecord{}}
	for _, r := range known {
		c.nodes[r.NodeId] = r
	}
	return c
}

// Start reads the records now and then.
func (c *Cache) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.wg.Go(func() { c.run(ctx) })
}

// Close stops reading.
func (c *Cache) Close() {
	if c.stop != nil {
		c.stop()
	}
	c.wg.Wait()
}

func (c *Cache) run(ctx context.Context) {
	pause := time.Duration(0)
	for {
		read, cancel := context.WithTimeout(ctx, c.opts.Timeout)
		err := c.Refresh(read)
		cancel()
		if pause = c.opts.Interval; err != nil {
			pause = min(pause, time.Second)
			if ctx.Err() == nil {
				c.opts.Logger.Debug("node records not read", "error", err)
				c.opts.OnMiss(ctx, err)
			}
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-c.wake:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// Refresh reads the records now.
func (c *Cache) Refresh(ctx context.Context) error {
	nodes, err := c.opts.Read(ctx)
	if err != nil {
		return err
	}
	c.Note(nodes...)
	return nil
}

// Note takes in records that are newer than those known.
func (c *Cache) Note(nodes ...*pontoonpb.NodeRecord) {
	c.telling.Lock()
	defer c.telling.Unlock()
	c.mu.Lock()
	changed := false
	for _, r := range nodes {
		if have := c.nodes[r.NodeId]; have == nil || have.Revision < r.Revision {
			c.nodes[r.NodeId] = r
			changed = true
		}
	}
	all := c.sortedLocked()
	c.mu.Unlock()
	if changed {
		c.opts.OnChange(all)
	}
}

// Hint tells that somebody knows a revision of the roster; a newer one than the
// own is read at once. It does not block.
func (c *Cache) Hint(revision uint64) {
	c.mu.Lock()
	news := revision > max(c.hinted, c.revisionLocked())
	c.hinted = max(c.hinted, revision)
	c.mu.Unlock()
	if news {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// Nodes returns all records by id. They must not be changed.
func (c *Cache) Nodes() []*pontoonpb.NodeRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sortedLocked()
}

// Node returns a node's record, nil if there is none.
func (c *Cache) Node(id proto.NodeID) *pontoonpb.NodeRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[uint64(id)]
}

// Removed reports whether a node is known to be removed. It does not block.
func (c *Cache) Removed(id proto.NodeID) bool {
	return c.Node(id).GetState() == pontoonpb.NodeState_NODE_REMOVED
}

// Revision grows with every change of a record that is known here.
func (c *Cache) Revision() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revisionLocked()
}

func (c *Cache) revisionLocked() (sum uint64) {
	for _, r := range c.nodes {
		sum += r.Revision
	}
	return sum
}

func (c *Cache) sortedLocked() []*pontoonpb.NodeRecord {
	all := make([]*pontoonpb.NodeRecord, 0, len(c.nodes))
	for _, r := range c.nodes {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *pontoonpb.NodeRecord) int {
		if a.NodeId < b.NodeId {
			return -1
		}
		return 1
	})
	return all
}
