package leaderlease

import (
	"testing"
	"time"
)

// P3: after a restart, and after each message of the leader, no vote for one
// election timeout of real time.
func TestPromiseHoldsVotes_P3(t *testing.T) {
	p := NewPromise(time.Second, 10, 0, true)
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
	if !NewPromise(time.Second, 10, 0, false).Free(0) {
		t.Fatal("a replica with no earlier life is bound")
	}
}

// P3: a burst of ticks after a pause must not make raft campaign while the
// promise holds.
func TestTickBurstDoesNotCampaign_P3(t *testing.T) {
	p := NewPromise(time.Second, 10, 0, false)
	p.Heard(0)
	given := 0
	for range 100 {
		if p.Tick(1*ms, false, false) {
			given++
		}
	}
	if given >= 10 {
		t.Fatalf("%d ticks given under the promise, raft campaigns at 10", given)
	}
	if given != 9 {
		t.Fatalf("%d ticks given: failover is later than needed", given)
	}
	if !p.Tick(1000*ms, false, false) {
		t.Fatal("tick refused when free")
	}
	p.Heard(1000 * ms)
	if !p.Tick(1001*ms, true, false) || !p.Tick(1001*ms, false, true) {
		t.Fatal("leader and single voter always tick")
	}
}
