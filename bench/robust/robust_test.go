package robust_test

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/robust"
)

// A short fault run: killed, paused and restarted processes, and not one broken
// promise in what the clients saw.
func TestFaultRun(t *testing.T) {
	b := clustertest.Subject(t)
	rep, err := robust.Run(t.Context(), t.Output(), robust.Options{
		Kind: b.Kind, Binary: b.Path, Dir: t.TempDir(), Seed: 1,
		Duration: 16 * time.Second, Round: 8 * time.Second, FaultEvery: 3 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Operations < 300 || rep.Faults == 0 {
		t.Errorf("the run did too little: %d operations, %d faults", rep.Operations, rep.Faults)
	}
}
