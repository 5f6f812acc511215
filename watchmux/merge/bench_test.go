package merge

import (
	"fmt"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
)

// One write and its checkpoint among ten thousand watchers of own prefixes,
// and one watcher over all eight ranges.
func BenchmarkWriteAmongTenThousandWatchers(b *testing.B) {
	m, ps := gateway(Limits{}, "k1", "k2", "k3", "k4", "k5", "k6", "k7")
	g := m.NewGroup()
	for i := range 10000 {
		k := fmt.Sprintf("k%04d", i)
		w, _ := m.Create(g, Spec{Key: []byte(k), End: []byte(k + "z")}, 10)
		m.Join(w, 10)
	}
	w, _ := m.Create(g, Spec{Key: []byte("k"), End: []byte("l")}, 10)
	m.Join(w, 10)
	m.Take(g, 1<<20, 1<<30)
	rev := proto.Revision(10)
	b.ReportAllocs()
	for b.Loop() {
		rev++
		key := fmt.Sprintf("k%04d", int(rev)%10000)
		for _, p := range ps {
			if p.span.Contains(append([]byte{3}, key...)) {
				m.Deliver(p, changes(rev, key))
			}
			closeAt(m, p, int64(rev))
		}
		if n := len(m.Take(g, 1<<20, 1<<30)); n != 2 {
			b.Fatalf("%d responses", n)
		}
		m.Drain()
	}
}
