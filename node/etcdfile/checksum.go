package etcdfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// Digest is the SHA-256 of a database, without the checksum behind it.
type Digest [sha256.Size]byte

// hasChecksum reports whether a file of that size ends with a checksum: pages
// are a multiple of 512 bytes.
func hasChecksum(size int64) bool { return size%512 == sha256.Size }

var (
	errNoChecksum = errors.New("snapshot missing hash but --skip-hash-check=false: the file is torn, or was copied from a data directory")
	errSkewed     = errors.New("the file is torn: its size is not one of a database")
)

// Verify reads the file once and compares its checksum, unless told not to. A
// file without one is accepted only then. progress is told of bytes read.
func Verify(path string, skip bool, progress func(read, total int64)) (d Digest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return d, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return d, err
	}
	size, checked := info.Size(), hasChecksum(info.Size())
	switch {
	case !info.Mode().IsRegular():
		return d, fmt.Errorf("%s is not a file", path)
	case !checked && !skip:
		return d, fmt.Errorf("%s: %w", path, errNoChecksum)
	case !checked && (size%512 != 0 || size == 0):
		return d, fmt.Errorf("%s: %w", path, errSkewed)
	case checked:
		size -= sha256.Size
	}
	h := sha256.New()
	meter := &meter{w: h, total: size, tell: progress}
	if _, err := io.CopyN(meter, f, size); err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	copy(d[:], h.Sum(nil))
	if !checked || skip {
		return d, nil
	}
	var want Digest
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	if !bytes.Equal(want[:], d[:]) {
		return d, fmt.Errorf("%s: expected sha256 %x, got %x: the file is damaged", path, want, d)
	}
	return d, nil
}

// meter tells how much passed.
type meter struct {
	w           io.Writer
	done, total int64
	tell        func(done, total int64)
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.done += int64(n)
	if m.tell != nil {
		m.tell(m.done, m.total)
	}
	return n, err
}
