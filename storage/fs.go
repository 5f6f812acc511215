package storage

import (
	"errors"
	iofs "io/fs"
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

// makeDir creates a directory and what is missing above it, durably: a crash
// must not take away the directory under data that was synced in it.
func makeDir(fs vfs.FS, dir string) error {
	_, err := fs.Stat(dir)
	if err == nil || !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	parent := fs.PathDir(dir)
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	d, err := fs.OpenDir(parent)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
