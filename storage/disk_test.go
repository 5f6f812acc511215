package storage

import (
	"errors"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestDisk(t *testing.T) {
	e := must(Open(Options{Dir: t.TempDir()}))(t)
	defer func() { check(t, e.Close()) }()
	d := must(e.Disk())(t)
	if d.Total <= 0 || d.Free < 0 || d.Free > d.Total {
		t.Errorf("%+v", d)
	}
	if d := must(openMem(t).Disk())(t); d != (Disk{}) {
		t.Errorf("a file system in memory has %+v", d)
	}
}

// small is a file system with little room.
type small struct {
	vfs.FS
	free uint64
}

func (s small) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: s.free, TotalBytes: 1 << 30}, nil
}

// A full disk is refused before anything is written, but can be looked into.
func TestOpenOnFullDisk(t *testing.T) {
	fs := NewMemFS()
	check(t, openFS(t, fs).Close())
	full := &FS{FS: small{fs, 0}}
	before := imageOf(t, fs)
	if _, err := Open(Options{Dir: "data", FS: full}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if after := imageOf(t, fs); len(after) != len(before) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	check(t, must(Open(Options{Dir: "data", FS: full, ReadOnly: true}))(t).Close())
	check(t, must(Open(Options{Dir: "data", FS: &FS{FS: small{fs, roomToOpen}}}))(t).Close())
}
