package disk

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func content(f *file) string {
	p := make([]byte, f.size)
	return string(p[:f.readAt(p, 0)])
}

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// What was synced is there after a loss of power, also where it was written over
// (I1), and what is read is what was written last (I2).
func TestFileLosesWhatWasNotSynced(t *testing.T) {
	f := newFile(2, 0o600)
	long := bytes.Repeat([]byte("a"), 3*blockSize+7)
	f.writeAt(long, 0)
	f.sync()
	f.writeAt([]byte("bbbb"), blockSize-2) // two blocks
	f.writeAt([]byte("the end"), int64(len(long)))
	want := string(long[:blockSize-2]) + "bbbb" + string(long[blockSize+2:]) + "the end"
	if content(f) != want {
		t.Fatal("read something else than was written")
	}
	f.lose(source(1), 0)
	if content(f) != string(long) {
		t.Fatal("something else than what was synced")
	}
	f.writeAt([]byte("bbbb"), blockSize-2)
	f.lose(source(1), 100)
	if got := content(f); got[blockSize-2:blockSize+2] != "bbbb" {
		t.Fatal("what was kept is not there")
	}
}

// Blocks are kept one by one, and the same ones with the same seed (I3).
func TestPartOfAFileIsKept(t *testing.T) {
	half := func(seed uint64) string {
		f := newFile(2, 0o600)
		f.writeAt(make([]byte, 64*blockSize), 0)
		f.sync()
		f.writeAt(bytes.Repeat([]byte("x"), 64*blockSize), 0)
		f.lose(source(seed), 50)
		return content(f)
	}
	got := half(7)
	kept := bytes.Count([]byte(got), []byte("x")) / blockSize
	if kept < 16 || kept > 48 {
		t.Errorf("%d of 64 blocks kept", kept)
	}
	if half(7) != got || half(8) == got {
		t.Error("what is kept does not follow from the seed")
	}
}

// A file that was cut short has no old end, neither when it grows again nor after
// a loss of power.
func TestTruncate(t *testing.T) {
	f := newFile(2, 0o600)
	f.writeAt(bytes.Repeat([]byte("a"), 2*blockSize), 0)
	f.sync()
	f.writeAt([]byte("b"), 0)
	f.truncate(10)
	f.truncate(20)
	if want := "b" + "aaaaaaaaa" + string(make([]byte, 10)); content(f) != want {
		t.Fatalf("read %q", content(f))
	}
	f.lose(source(1), 0)
	f.truncate(20)
	if want := "aaaaaaaaaa" + string(make([]byte, 10)); content(f) != want {
		t.Fatalf("%q after a loss of power", content(f))
	}
}

// A name without a sync of its directory is lost, a rename is one change, and of
// several changes the first stay.
func TestDirectoryLosesWhatWasNotSynced(t *testing.T) {
	d := newDir(1, 0o700)
	f, g := newFile(2, 0o600), newFile(3, 0o600)
	d.change(change{"a": f})
	d.sync()
	d.change(change{"b": g})
	d.change(change{"a": nil, "c": f})
	if len(d.entries) != 2 || d.entries["b"] == nil || d.entries["c"] == nil {
		t.Fatalf("%d names", len(d.entries))
	}
	d.lose(source(1), 0)
	if len(d.entries) != 1 || d.entries["a"] != entry(f) {
		t.Fatalf("%d names after a loss of power", len(d.entries))
	}
	for seed := range uint64(64) {
		d.change(change{"b": g})
		d.change(change{"a": nil, "c": f})
		d.lose(source(seed), 50)
		a, b, c := d.entries["a"] != nil, d.entries["b"] != nil, d.entries["c"] != nil
		if a == c || c && !b {
			t.Fatalf("seed %d: a %v, b %v, c %v", seed, a, b, c)
		}
		d.change(change{"a": f, "b": nil, "c": nil})
		d.sync()
	}
}
