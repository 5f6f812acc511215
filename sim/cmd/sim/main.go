// Command sim runs seeds of the simulated cluster: one with everything that is
// done to it printed, or many.
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

func main() {
	seed := flag.Uint64("seed", 1, "first seed")
	count := flag.Int("seeds", 1, "how many seeds")
	steps := flag.Int("steps", 0, "faults of a run; 0: the usual number")
	log := flag.Bool("log", false, "print what nodes log, of a single seed")
	workers := flag.Int("workers", runtime.NumCPU(), "processes at a time")
	dir := flag.String("dir", "bin/sim", "where the binary is built")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, *seed, *count, *steps, *workers, *log); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, first uint64, count, steps, workers int, log bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := runner.Build(ctx, dir)
	if err != nil {
		return err
	}
	if count == 1 {
		return b.Run(ctx, runner.Seed{Seed: first, Steps: steps, Log: log}, os.Stdout)
	}
	var seeds []runner.Seed
	for i := range count {
		seeds = append(seeds, runner.Seed{Seed: first + uint64(i), Steps: steps})
	}
	began := time.Now()
	failures := b.RunAll(ctx, seeds, workers, func(f runner.Failure) {
		fmt.Printf("%v\n%s\nreplay: %s\n\n", f.Err, f.Output, f.Seed.Replay())
	})
	fmt.Printf("sim: %d seeds from %d, %d failed, in %v\n", count, first, failures, time.Since(began).Round(time.Second))
	if failures > 0 {
		return fmt.Errorf("%d seeds failed", failures)
	}
	return ctx.Err()
}
