// Package faultfs puts somebody between an engine and its file system, who may
// hold an operation up, or refuse it.
//
//	storage.Engine --> Wrap(fs, gate) --gate(op)--> fs
//
// For tests and simulations: nothing in the product wraps its disk.
package faultfs

import (
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pontoon-kv/pontoon/storage"
)

// Op is what an operation does.
type Op int

// The kinds of operations.
const (
	Read  Op = iota // of a file or a directory
	Write           // of anything but Sync
	Sync            // what was written so far is to outlive a power loss
)

// Gate is called before every operation, from whatever goroutine does it. It may
// block. An error is that of the operation, which is not done then.
type Gate func(op Op, path string) error

// Wrap returns fs with a gate. It can be crash cloned if fs can; a clone has no
// gate.
func Wrap(fs *storage.FS, gate Gate) *storage.FS {
	wrapped := *fs
	wrapped.FS = errorfs.Wrap(fs.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		return gate(kind(op.Kind), op.Path)
	}))
	return &wrapped
}

func kind(k errorfs.OpKind) Op {
	switch {
	case k == errorfs.OpFileSync || k == errorfs.OpFileSyncData || k == errorfs.OpFileSyncTo:
		return Sync
	case k.ReadOrWrite() == errorfs.OpIsRead:
		return Read
	}
	return Write
}
