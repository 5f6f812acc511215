package storage

import (
	"sync"
	"sync/atomic"
	"time"
)

// Usage is what users' data takes in this engine, bytes. Fixed costs of the
// engine, raft logs and the records of the meta span do not count.
type Usage struct {
	Total int64 // old versions and what was deleted but not compacted away included
	InUse int64 // without what a Defragment would free, as far as the engine knows
}

// usageMaxAge is how long a measurement of the tables is good while tables come
// and go: writes count at once, only what compactions free shows later.
const usageMaxAge = 200 * time.Millisecond

// usage follows the size of users' data. Tables are measured, which takes a
// while; what was written since then lies in memtables and is counted. A flush
// turns the one into the other:
//
//	written:  ....|.........|......>   counted at every commit
//	          base   rotated            base: a flush that the tables include
//
// Every memtable has its own write-ahead log, so the engine tells of a new
// memtable by telling of a new log.
type usage struct {
	written  atomic.Int64 // bytes since the engine was opened
	rotated  atomic.Int64 // of written, when the newest memtable began
	flushing atomic.Int64 // of written, this much is in the flush under way
	flushed  atomic.Int64 // of written, this much is in tables
	changed  atomic.Bool  // tables came or went since the measurement

	measuring sync.Mutex   // held by who measures
	measured  atomic.Int64 // bytes of tables, less what of written they include
	at        atomic.Int64 // of the measurement, Unix nanoseconds; 0: none yet
}

// walCreated, flushBegun and flushed follow a memtable into tables.
func (u *usage) walCreated() { u.rotated.Store(u.written.Load()) }
func (u *usage) flushBegun() { u.flushing.Store(u.rotated.Load()) }
func (u *usage) flushEnded() {
	u.flushed.Store(u.flushing.Load())
	u.changed.Store(true)
}

// now is the size as of the last measurement and all writes.
func (u *usage) now() int64 { return max(0, u.measured.Load()+u.written.Load()) }

// Used estimates the bytes that users' data takes. It counts every write that
// was committed. It measures now and then, and never waits for another caller
// that does.
func (e *Engine) Used() int64 {
	u := &e.usage
	if u.due() && u.measuring.TryLock() {
		err := e.measure()
		u.measuring.Unlock()
		if err != nil {
			e.log.Warn("size of the data not measured", "err", err)
		}
	}
	return u.now()
}

func (u *usage) due() bool {
	at := u.at.Load()
	return at == 0 || u.changed.Load() && time.Now().UnixNano()-at >= int64(usageMaxAge)
}

// measure asks the engine for the size of the tables. Called with measuring
// held.
func (e *Engine) measure() error {
	u := &e.usage
	u.changed.Store(false)
	base := u.flushed.Load()
	n, err := e.db.EstimateDiskUsage(usersData.lower, usersData.upper)
	u.at.Store(time.Now().UnixNano())
	if err != nil {
		u.changed.Store(true)
		return wrap("size", err)
	}
	u.measured.Store(int64(n) - base)
	return nil
}

// Usage returns what users' data takes.
func (e *Engine) Usage() Usage {
	m := e.db.Metrics()
	total := e.Used()
	return Usage{Total: total, InUse: max(0, total-int64(m.Table.Garbage.PointDeletionsBytesEstimate))}
}
