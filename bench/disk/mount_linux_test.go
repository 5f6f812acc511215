package disk

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// mounted is a disk and the directory it is at. A machine without FUSE has none.
func mounted(t *testing.T) (*Disk, string) {
	t.Helper()
	if err := Check(); err != nil {
		t.Skip(err)
	}
	at := t.TempDir()
	d, err := New(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, at
}

func write(t *testing.T, path, what string, sync bool) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(what); err != nil {
		t.Fatal(err)
	}
	if sync {
		syncPath(t, path)
	}
}

func syncPath(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, at string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(at)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// Through the kernel: files, directories, links and renames are what they are
// elsewhere, and a loss of power leaves what was synced.
func TestMountedDiskLosesPower(t *testing.T) {
	d, at := mounted(t)
	sub := filepath.Join(at, "sub")
	if err := os.MkdirAll(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(sub, "synced"), "one", true)
	write(t, filepath.Join(sub, "lost"), "two", false)
	write(t, filepath.Join(sub, "old"), "three", true)
	if err := os.Link(filepath.Join(sub, "synced"), filepath.Join(sub, "link")); err != nil {
		t.Fatal(err)
	}
	syncPath(t, at)
	syncPath(t, sub)
	write(t, filepath.Join(sub, "nameless"), "four", true)
	if err := os.Rename(filepath.Join(sub, "old"), filepath.Join(sub, "new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(sub, "link")); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, sub), []string{"lost", "nameless", "new", "synced"}; !slices.Equal(got, want) {
		t.Fatalf("names %q, want %q", got, want)
	}
	if err := d.LosePower(0, 1); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, sub), []string{"link", "lost", "old", "synced"}; !slices.Equal(got, want) {
		t.Fatalf("names %q after a loss of power, want %q", got, want)
	}
	for name, want := range map[string]string{"synced": "one", "link": "one", "old": "three", "lost": ""} {
		if got, err := os.ReadFile(filepath.Join(sub, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

// A full disk says so before and when something is written.
func TestMountedDiskFillsUp(t *testing.T) {
	d, at := mounted(t)
	free := func() uint64 {
		var s syscall.Statfs_t
		if err := syscall.Statfs(at, &s); err != nil {
			t.Fatal(err)
		}
		return s.Bavail * uint64(s.Bsize)
	}
	if free() < capacity/2 {
		t.Fatalf("an empty disk has %d bytes", free())
	}
	d.Fill(1 << 20)
	if got := free(); got != 1<<20 {
		t.Fatalf("%d bytes are left of %d", got, 1<<20)
	}
	write(t, filepath.Join(at, "a"), "fits", true)
	d.Fill(0)
	if err := os.WriteFile(filepath.Join(at, "b"), []byte("does not"), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("wrote to a full disk: %v", err)
	}
	d.Empty()
	write(t, filepath.Join(at, "b"), "fits", true)
}

// A stalled disk holds a sync up until it goes on; a slow one takes its time.
func TestMountedDiskTakesItsTime(t *testing.T) {
	d, at := mounted(t)
	path := filepath.Join(at, "a")
	d.SlowSyncs(150 * time.Millisecond)
	began := time.Now()
	write(t, path, "x", true)
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("a slow sync took %v", took)
	}
	d.SlowSyncs(0)
	d.Stall()
	done := make(chan struct{})
	go func() {
		defer close(done)
		write(t, path, "y", true)
	}()
	select {
	case <-done:
		t.Error("written while the disk stood still")
	case <-time.After(200 * time.Millisecond):
	}
	d.GoOn()
	<-done
}
