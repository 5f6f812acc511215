package storage

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Disk is the file system under the engine, in bytes; zero where it does not
// say.
type Disk struct {
	Free  int64 // for this process
	Total int64
}

// Disk returns how much room the engine's file system has.
func (e *Engine) Disk() (Disk, error) {
	u, err := e.po.FS.GetDiskUsage(e.opts.Dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return Disk{}, nil
	}
	if err != nil {
		return Disk{}, wrap("disk", err)
	}
	return Disk{Free: int64(u.AvailBytes), Total: int64(u.TotalBytes)}, nil
}

// roomToOpen is the least that must be free for an engine to be opened: it begins
// with new files.
const roomToOpen = 1 << 20

// room refuses to open on a full disk: it is said at once, while the engine gets
// stuck half-way where it cannot write the first record of a new MANIFEST.
func (e *Engine) room() error {
	d, err := e.Disk()
	if err != nil || d.Total == 0 || d.Free >= roomToOpen {
		return err
	}
	return fmt.Errorf("storage: open %s: %d bytes free of %d: %w", e.opts.Dir, d.Free, d.Total, syscall.ENOSPC)
}

// Backlog is the most that the engine may have to write of what it has taken: its
// memtables as tables, while the write-ahead log of each is still there. With less
// room left it cannot flush, and then takes nothing more, deletions neither.
func (e *Engine) Backlog() int64 {
	return 2 * int64(e.po.MemTableStopWritesThreshold) * int64(e.opts.MemtableBytes)
}

// Flushes is how often a memtable became a table since the engine was opened:
// from then on SizeOf counts what was in it.
func (e *Engine) Flushes() int64 { return e.metrics.flushes.Load() }
