package sim

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	mathrand "math/rand/v2"
	"sync"
	_ "unsafe" // for go:linkname
)

// The official client's watches wait on one channel of its package, made when
// the process starts, that nothing is ever sent on. In a bubble of virtual time a
// goroutine that waits on a channel from outside counts as busy, and time would
// stand still.
//
//go:linkname never go.etcd.io/etcd/client/v3.valCtxCh
var never chan struct{}

// adopt makes what a process has once part of one run: a process runs one seed
// at a time. raft draws its election timeouts from crypto/rand.
func adopt(seed uint64) {
	never = make(chan struct{})
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	rand.Reader = &source{from: mathrand.NewChaCha8(key)}
}

// source is randomness that a seed decides.
type source struct {
	mu   sync.Mutex
	from io.Reader
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.from.Read(b)
}
