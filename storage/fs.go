package storage

import (
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is the file system under an engine. The zero value of *FS (nil) is the
// operating system's.
type FS struct {
	vfs.FS
	mem *vfs.MemFS
}

// NewMemFS returns a file system in memory.
func NewMemFS() *FS {
	m := vfs.NewMem()
	return &FS{FS: m, mem: m}
}

// NewCrashableMemFS returns a file system in memory that remembers what was
// synced, so that CrashClone can forget the rest.
func NewCrashableMemFS() *FS {
	m := vfs.NewCrashableMem()
	return &FS{FS: m, mem: m}
}

// CrashClone returns the file system as a crash at this moment could leave it:
// everything synced, and of the rest each block with a chance of
// unsyncedPercent, decided by seed. Only for NewCrashableMemFS.
func (f *FS) CrashClone(unsyncedPercent int, seed uint64) *FS {
	m := f.mem.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: unsyncedPercent,
		RNG:                 rand.New(rand.NewPCG(seed, seed)),
	})
	return &FS{FS: m, mem: m}
}
