package storage

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Batch collects log appends and applies of many ranges for one Commit. It is
// used by one goroutine. At a time one batch may append to a range's log and
// another one apply to it; no two may do the same, and whatever makes, removes
// or replaces a replica is alone. After an error the batch must be closed
// without Commit.
type Batch struct {
	e       *Engine
	b       *pebble.Batch
	changes map[proto.RangeID]*logChange
	order   []proto.RangeID
	buf     []byte
	done    bool
	removes bool  // a replica: no step of dropping may write of it afterwards
	used    int64 // bytes of users' data written, not counted in the engine yet
}

// logChange is what Commit makes visible in a Log.
type logChange struct {
	log     *Log
	base    logState // as found
	st      logState
	appends [][]*raftpb.Entry
	reset   bool // forget the tail
}

// NewBatch returns an empty batch.
func (e *Engine) NewBatch() *Batch {
	return &Batch{e: e, b: e.db.NewBatch(), changes: make(map[proto.RangeID]*logChange)}
}

// Empty reports whether there is nothing to commit.
func (b *Batch) Empty() bool { return b.b.Empty() && len(b.changes) == 0 }

// Len returns the size of the batch in bytes.
func (b *Batch) Len() int { return b.b.Len() }

// change returns the pending change of a range's log.
func (b *Batch) change(id proto.RangeID) *logChange {
	c, ok := b.changes[id]
	if !ok {
		l := b.e.Log(id)
		st := l.snapshotState()
		c = &logChange{log: l, base: st, st: st}
		b.changes[id] = c
		b.order = append(b.order, id)
	}
	return c
}

// Commit writes the batch atomically and makes it visible; with sync it and
// everything before it in the write-ahead log is durable on return. The batch
// is closed.
func (b *Batch) Commit(sync bool) error {
	opts := pebble.NoSync
	if sync {
		opts = pebble.Sync
	}
	if b.removes {
		b.e.replacing.Lock()
		defer b.e.replacing.Unlock()
	}
	var err error
	if b.b.Empty() {
		if sync {
			err = b.e.Sync()
		}
	} else {
		began := time.Now()
		if err = wrap("commit", b.b.Commit(opts)); err == nil {
			b.e.metrics.committed(sync, time.Since(began))
		}
	}
	if err == nil {
		b.count()
		for _, id := range b.order {
			b.changes[id].publish()
		}
	}
	b.Close()
	return err
}

// count adds what was committed to the engine's usage. It comes after the
// commit: what a new memtable took is never taken for flushed with the old one.
func (b *Batch) count() {
	b.e.usage.written.Add(b.used)
	b.used = 0
}

// Close drops the batch. After Commit it does nothing.
func (b *Batch) Close() {
	if !b.done {
		b.done = true
		b.b.Close()
	}
}

// publish shows the change to readers of the log.
func (c *logChange) publish() {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	var delta int64
	if c.reset {
		delta -= l.tail.bytes
		l.tail.clear(uint64(c.st.last.Index) + 1)
	}
	for _, ents := range c.appends {
		delta += l.tail.append(ents)
	}
	if c.st.truncated.Index > l.st.truncated.Index {
		delta += l.tail.dropTo(uint64(c.st.truncated.Index))
	}
	if c.reset {
		l.st = c.st
	} else {
		c.merge(&l.st)
	}
	total := l.e.cacheBytes.Add(delta)
	l.e.cacheBytes.Add(l.tail.shrink(l.e.tailLimit(total)))
}

// merge writes what the batch changed and leaves what a batch beside it did.
func (c *logChange) merge(st *logState) {
	if c.st.truncated != c.base.truncated {
		st.truncated = c.st.truncated
	}
	if c.st.last != c.base.last {
		st.last = c.st.last
	}
	if c.st.applied != c.base.applied {
		st.applied = c.st.applied
	}
	if c.st.hs != c.base.hs {
		st.hs = c.st.hs
	}
	if c.st.desc != c.base.desc {
		st.desc = c.st.desc
	}
}

// ApplyResult says what an Apply did.
type ApplyResult struct {
	// Events of user keys in (revision, sub) order. A put carries the whole key
	// value, a delete key and mod revision; both share the effects' bytes.
	Events []*pontoonpb.ChangeEvent
	// LiveDelta is the change in the number of live user keys.
	LiveDelta int64
	// Drop is set when there may be something new to drop: the floor rose, or
	// an effect lies below it. The dropper should be asked.
	Drop bool
}
