package idle_test

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/idle"
)

// A small run: ranges fall asleep and serve again after a restart. What they
// cost is measured by `pontoon bench idle`, on a quiet machine.
func TestIdle(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		return // etcd has no ranges
	}
	rep, err := idle.Run(t.Context(), t.Output(), idle.Options{
		Binary: b.Path, Dir: t.TempDir(), Ranges: 60, Reads: 20, Window: time.Second, MaxRestart: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Asleep < 59 || len(rep.Processes) != 3 || rep.Processes[0].ResidentBytes == 0 || rep.RestartSeconds == 0 {
		t.Errorf("%+v", rep)
	}
}
