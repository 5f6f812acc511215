package runner_test

import (
	"runtime"
	"testing"

	"github.com/pontoon-kv/pontoon/sim/runner"
)

// seedsInTest is how many seeds a run of this test goes through: some two minutes of
// two cores. make sim SEEDS=1000 is for more.
const seedsInTest = 100

// TestSeeds runs clusters through the faults of some seeds.
func TestSeeds(t *testing.T) {
	b, err := runner.Build(t.Context(), runner.BuildOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ran, _ := b.RunAll(t.Context(), runner.Seeds(1, seedsInTest, 0), runtime.NumCPU(), func(f runner.Failure) {
		t.Errorf("%v\n%s\nreplay: %s", f.Err, f.Output, f.Seed.Replay())
	})
	if ran != seedsInTest {
		t.Fatalf("%d of %d seeds ran", ran, seedsInTest)
	}
}
