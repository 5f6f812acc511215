package backup

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
)

// B3: whatever the number of records, they come out in order, each once, from
// a bounded number of runs, and nothing is left behind.
func TestSorter(t *testing.T) {
	for _, n := range []int{0, 1, 10, 5000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			dir := t.TempDir()
			s := newSorter(dir, 1000) // about 20 records a run: three levels
			for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
				key := binary.BigEndian.AppendUint64(nil, uint64(i))
				if err := s.add(key, bytes.Repeat([]byte{byte(i)}, i%40)); err != nil {
					t.Fatal(err)
				}
				if len(s.buf) > 2*s.limit {
					t.Fatalf("the buffer holds %d bytes", len(s.buf))
				}
			}
			for i, level := range s.levels {
				if len(level) >= fanIn {
					t.Errorf("level %d has %d runs", i, len(level))
				}
			}
			next := 0
			if err := s.merge(func(key, value []byte) error {
				if i := int(binary.BigEndian.Uint64(key)); i != next || !bytes.Equal(value, bytes.Repeat([]byte{byte(i)}, i%40)) {
					return fmt.Errorf("record %d, %x, where %d should be", i, value, next)
				}
				next++
				return nil
			}); err != nil || next != n {
				t.Fatalf("%d of %d records: %v", next, n, err)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
