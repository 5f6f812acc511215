package runner_test

import (
	"bytes"
	"os"
	"regexp"
	"runtime"
	"testing"

	"github.com/pontoon-kv/pontoon/sim/runner"
)

// seedsInTest is how many seeds a run of this test goes through.
const seedsInTest = 100

// build builds the simulation once for all tests here.
func build(t *testing.T) *runner.Binary {
	t.Helper()
	if os.Getenv("PONTOON_SIM") == "" {
		t.Skip("builds the standard library and runs whole clusters: PONTOON_SIM=1")
	}
	b, err := runner.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// realTimes are the parts of the output that tell how long the machine took.
var realTimes = regexp.MustCompile(`(?m)^--- .*$`)

// TestSeeds runs clusters through the faults of many seeds, and one of them
// twice: the second time it does the same, to the last log line (I1).
func TestSeeds(t *testing.T) {
	b := build(t)
	t.Run("exact", func(t *testing.T) { exact(t, b) })
	var seeds []runner.Seed
	for i := range seedsInTest {
		seeds = append(seeds, runner.Seed{Seed: uint64(i + 1)})
	}
	b.RunAll(t.Context(), seeds, runtime.GOMAXPROCS(0), func(f runner.Failure) {
		t.Errorf("%v\n%s\nreplay: %s", f.Err, f.Output, f.Seed.Replay())
	})
}

func exact(t *testing.T, b *runner.Binary) {
	var outs [2]bytes.Buffer
	for i := range outs {
		if err := b.Run(t.Context(), runner.Seed{Seed: 13, Log: true}, &outs[i]); err != nil {
			t.Fatalf("%v\n%s", err, outs[i].Bytes())
		}
	}
	a, c := realTimes.ReplaceAll(outs[0].Bytes(), nil), realTimes.ReplaceAll(outs[1].Bytes(), nil)
	if bytes.Equal(a, c) {
		return
	}
	left, right := bytes.Split(a, []byte("\n")), bytes.Split(c, []byte("\n"))
	for i := range min(len(left), len(right)) {
		if !bytes.Equal(left[i], right[i]) {
			t.Fatalf("line %d of %d is\n%s\nthe first time and\n%s\nthe second", i, len(left), left[i], right[i])
		}
	}
	t.Fatalf("%d lines the first time, %d the second", len(left), len(right))
}
