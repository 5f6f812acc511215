package etcdfile

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzFile changes a few bytes of a backup and reads it without its checksum, as
// --skip-hash-check does: it is refused or read, and nothing falls over.
func FuzzFile(f *testing.F) {
	good, err := os.ReadFile(sampleFile(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{1}, uint32(0), []byte{})
	f.Add(uint32(20), []byte{0xff, 0xff}, uint32(4100), []byte{9})
	f.Add(uint32(8192), []byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xff}, uint32(16384), []byte{0xff})
	path := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, at uint32, change []byte, at2 uint32, change2 []byte) {
		b := append([]byte{}, good...)
		copy(b[int(at)%len(b):], change)
		copy(b[int(at2)%len(b):], change2)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(path, true, nil); err != nil {
			return
		}
		file, err := Open(path, true)
		if err != nil {
			return
		}
		defer file.Close()
		if _, err := file.Contents(); err != nil {
			return
		}
		file.Versions(func(Version) error { return nil })
	})
}
