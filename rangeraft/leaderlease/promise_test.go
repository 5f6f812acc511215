package leaderlease

import (
	"testing"
	"time"
)

// P3: after a restart, and after each message of the leader, no vote for one
// election timeout of real time.
func TestPromiseHoldsVotes_P3(t *testing.T) {
	p := NewPromise(time.Second, 0, true)
	if p.Free(999 * ms) {
		t.Fatal("free right after a restart")
	}
	if !p.Free(1000 * ms) {
		t.Fatal("bound too long")
	}
	p.Heard(1500 * ms)
	if p.Free(2499*ms) || !p.Free(2500*ms) {
		t.Fatal("not bound for exactly one election timeout after the leader's message")
	}
	if !NewPromise(time.Second, 0, false).Free(0) {
		t.Fatal("a replica with no earlier life is bound")
	}
}
