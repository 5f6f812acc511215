//go:build simulated

package sim

import (
	"flag"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 1, "seed of TestSeed")
	stepsFlag = flag.Int("sim.steps", DefaultSteps, "faults of a run")
	traceFlag = flag.Bool("sim.trace", false, "print what is done to the cluster")
	logFlag   = flag.Bool("sim.log", false, "print what the nodes log")
)

// TestSeed is one run, in a process that was built for it (package runner).
func TestSeed(t *testing.T) {
	if err := letMutexesWait(); err != nil {
		t.Fatal(err)
	}
	o := Options{Seed: *seedFlag, Steps: *stepsFlag, Dir: t.TempDir()}
	if *traceFlag || *logFlag {
		o.Trace = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if *logFlag {
		o.Logger = o.Trace
	}
	var out *Outcome
	var err error
	synctest.Test(t, func(t *testing.T) { out, err = Run(t.Context(), o) })
	if err != nil {
		t.Fatal(err)
	}
	v := Judge(out)
	t.Logf("seed %d: %d answered, %d unanswered, %d mutations, %d events, %v; %v of virtual time",
		o.Seed, v.Operations, v.Unanswered, v.Mutations, v.Events, out.Done, out.Virtual)
	for _, v := range v.Violations {
		t.Error(v)
	}
	if !v.OK() {
		t.Logf("replay: make sim SEED=%d STEPS=%d\n%s", o.Seed, o.Steps, out.Plan)
	}
}
