package robust_test

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
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

// A short run of cut links: leaders, the sequencer, a minority and single
// directions, between real sockets.
func TestNetworkFaults(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		return // etcd's nodes are not steered
	}
	rep, err := robust.Run(t.Context(), t.Output(), robust.Options{
		Kind: b.Kind, Binary: b.Path, Dir: t.TempDir(), Seed: 2, Mode: robust.ModeNet,
		Duration: 20 * time.Second, Round: 10 * time.Second, FaultEvery: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Operations < 100 || rep.Faults < 2 || rep.Final == nil || rep.Final.Replicas == 0 {
		t.Errorf("the run did too little: %d operations, %d faults, %+v", rep.Operations, rep.Faults, rep.Final)
	}
}

// A short elastic run: the cluster grows to six, loses one node for good, gives
// one back, while leaders move and ranges split, merge and change nodes.
func TestElasticRun(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		return // etcd has no ranges
	}
	rep, err := robust.Run(t.Context(), t.Output(), robust.Options{
		Kind: b.Kind, Binary: b.Path, Dir: t.TempDir(), Seed: 1, Mode: robust.ModeElastic,
		Duration: 24 * time.Second, Round: 8 * time.Second, Rate: 90, Objects: 150,
	})
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]int{}
	for _, r := range rep.Rounds {
		for what, n := range r.Faults {
			faults[what] += n
		}
	}
	for _, what := range []string{"join", "lose for good", "drain and remove", "split", "transfer"} {
		if faults[what] == 0 {
			t.Errorf("no %s in %v", what, faults)
		}
	}
	if rep.Final == nil || rep.Final.Nodes != 4 || rep.Final.ObjectsVerified < 150 {
		t.Errorf("at rest: %+v", rep.Final)
	}
}

// A short run of everything at once: processes, links and disks.
func TestAllFaults(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		return // etcd's nodes are not steered
	}
	rep, err := robust.Run(t.Context(), t.Output(), robust.Options{
		Kind: b.Kind, Binary: b.Path, Dir: t.TempDir(), Seed: 3, Mode: robust.ModeAll,
		Duration: 30 * time.Second, Round: 15 * time.Second, FaultEvery: 500 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Operations < 200 || rep.Faults < 4 {
		t.Errorf("the run did too little: %d operations, %d faults", rep.Operations, rep.Faults)
	}
}
