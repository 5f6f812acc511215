// Command sim runs seeds of the simulated cluster: one with everything that is
// done to it printed, or many; or it plants bugs and looks for a seed that catches
// them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/pontoon-kv/pontoon/sim/runner"
)

type options struct {
	first   uint64
	count   int
	steps   int
	log     bool
	workers int
	dir     string
	planted string
}

func main() {
	var o options
	flag.Uint64Var(&o.first, "seed", 1, "first seed")
	flag.IntVar(&o.count, "seeds", 1, "how many seeds")
	flag.IntVar(&o.steps, "steps", 0, "faults of a run; 0: the usual number")
	flag.BoolVar(&o.log, "log", false, "print what nodes log, of a single seed")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "processes at a time")
	flag.StringVar(&o.dir, "dir", "bin/sim", "where the binary is built")
	flag.StringVar(&o.planted, "planted", "", "name of a bug to plant, or all: run seeds until one fails")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (o options) run(ctx context.Context) error {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if o.planted != "" {
		return o.plant(ctx)
	}
	b, err := runner.Build(ctx, runner.BuildOptions{Dir: o.dir})
	if err != nil {
		return err
	}
	if o.count == 1 {
		return b.Run(ctx, runner.Seed{Seed: o.first, Steps: o.steps, Log: o.log}, os.Stdout)
	}
	began := time.Now()
	ran, failures := b.RunAll(ctx, runner.Seeds(o.first, o.count, o.steps), o.workers, func(f runner.Failure) {
		fmt.Printf("%v\n%s\nreplay: %s\n\n", f.Err, f.Output, f.Seed.Replay())
	})
	fmt.Printf("sim: %d seeds from %d, %d failed, in %v\n", ran, o.first, failures, time.Since(began).Round(time.Second))
	if failures > 0 {
		return fmt.Errorf("%d seeds failed", failures)
	}
	return ctx.Err()
}
