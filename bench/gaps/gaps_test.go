package gaps_test

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/gaps"
)

// Every scenario once. The bounds are for a machine that is busy with other
// tests; `make gaps` has the real ones.
func TestGaps(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		return // etcd has no ranges to steer
	}
	rep, err := gaps.Run(t.Context(), t.Output(), gaps.Options{
		Binary: b.Path, Dir: t.TempDir(), Tries: 1,
		MaxLeaderKill: 15 * time.Second, MaxSequencerKill: 15 * time.Second, MaxRestart: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range rep.Scenarios {
		if len(s.Tries) != 1 || i < 2 && s.MaxMillis < 100 {
			t.Errorf("%s: %+v; a kill cannot go unnoticed", s.Name, s.Tries)
		}
	}
	if len(rep.Scenarios) != 3 {
		t.Errorf("%d scenarios", len(rep.Scenarios))
	}
}
