package diff

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := cluster.RemoveBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// compareRun runs a plan and reports a difference, shrunk.
func compareRun(t *testing.T, start Start, plan Plan) {
	t.Helper()
	var p Progress
	executed, d, err := Execute(t.Context(), start, NewGenerator(plan), DefaultPatience, &p)
	if err != nil {
		t.Fatalf("seed %d: %v", plan.Seed, err)
	}
	if d != nil {
		shrunk, sd := Shrink(t.Context(), start, executed, d, 15*time.Second)
		t.Fatalf("seed %d: %v\nshrunk to %d operations:\n%s%v", plan.Seed, d, len(shrunk), Format(shrunk), sd)
	}
	t.Logf("seed %d: %d operations, revision %d, %d events, %d splits, %d merges, %d moves, %d transfers", plan.Seed, p.Ops.Load(),
		p.Revision.Load(), p.Events.Load(), p.Splits.Done.Load(), p.Merges.Done.Load(), p.Moves.Done.Load(), p.Transfers.Done.Load())
	if p.Events.Load() == 0 || p.Revision.Load() < int64(plan.Ops)/leastChanges(plan) {
		t.Fatalf("seed %d: the run did too little", plan.Seed)
	}
}

// The comparison raises no false alarm when etcd is compared with itself, even
// through several members.
func TestEtcdEqualsItself(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			compareRun(t, Clusters("etcd", nodes), Plan{Seed: 21, Ops: 500, Expiries: nodes / 3})
		})
	}
}

// leastChanges is how many operations may go for one that changes something: with
// auth, most are refused or change who may do what.
func leastChanges(p Plan) int64 {
	if p.Auth > 0 {
		return 25
	}
	return 10
}

func TestPontoonEqualsEtcd(t *testing.T) {
	for _, run := range []struct {
		nodes int
		plan  Plan
	}{
		{1, Plan{Seed: 1, Ops: 600, Splits: 8, Expiries: 1}},
		{1, Plan{Seed: 2, Ops: 300}},
		{3, Plan{Seed: 3, Ops: 700, Splits: 12, Expiries: 1}},
		{3, Plan{Seed: 4, Ops: 400, Splits: 4}},
		{3, Plan{Seed: 5, Ops: 300, Splits: 12, Merges: 8, Transfers: 20}},
		{5, Plan{Seed: 6, Ops: 300, Splits: 16, Merges: 8, Moves: 12, Transfers: 12}},
	} {
		t.Run(fmt.Sprintf("%d nodes seed %d", run.nodes, run.plan.Seed), func(t *testing.T) {
			compareRun(t, Clusters("pontoon", run.nodes), run.plan)
		})
	}
}

// Sequences that once showed a difference, shrunk.
func TestRecordedSequences(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, subject := range []string{"etcd", "pontoon"} {
		for _, file := range files {
			t.Run(subject+" "+filepath.Base(file), func(t *testing.T) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				ops, err := Parse(string(text))
				if err != nil {
					t.Fatal(err)
				}
				if _, d, err := Execute(t.Context(), Clusters(subject, 1), Sequence(ops), DefaultPatience, new(Progress)); d != nil || err != nil {
					t.Fatalf("difference %v, error %v", d, err)
				}
			})
		}
	}
}
