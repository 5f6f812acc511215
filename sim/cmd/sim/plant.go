package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/sim/planted"
	"github.com/pontoon-kv/pontoon/sim/runner"
)

// plant plants bugs, one after the other, and prints a table of what caught them.
func (o options) plant(ctx context.Context) error {
	bugs := planted.Bugs
	if o.planted != "all" {
		bug, err := planted.Find(o.planted)
		if err != nil {
			return err
		}
		bugs = []planted.Bug{bug}
	}
	fmt.Println("| Bug | Rule | Caught by | Seed | Time |\n|---|---|---|---|---|")
	missed := 0
	for _, bug := range bugs {
		f, err := o.find(ctx, bug)
		switch {
		case err != nil:
			return err
		case f.seed != nil:
			fmt.Printf("| %s | %s | %s | %d | %v |\n", bug.Name, bug.Rule, why(f.seed), f.seed.Seed.Seed, f.took)
		case f.test:
			fmt.Printf("| %s | %s | %s | none of %d from %d | %v |\n", bug.Name, bug.Rule, bug.Test, f.ran, o.first, f.took)
		default:
			missed++
			fmt.Printf("| %s | %s | MISSED | %d seeds from %d | %v |\n", bug.Name, bug.Rule, f.ran, o.first, f.took)
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d bugs missed", missed, len(bugs))
	}
	return nil
}

// finding is what caught a bug.
type finding struct {
	seed *runner.Failure // nil: no seed did
	test bool            // the bug's test did
	ran  int             // seeds
	took time.Duration   // of seeds that catch it, or of the test
}

// find runs seeds with a bug until one fails. If none does, the bug's test is run.
func (o options) find(ctx context.Context, bug planted.Bug) (found finding, err error) {
	dir, err := os.MkdirTemp("", "planted") // not below the module: it is Go
	if err != nil {
		return found, err
	}
	defer os.RemoveAll(dir)
	root, err := os.Getwd()
	if err != nil {
		return found, err
	}
	list, err := bug.Overlay(root, dir)
	if err != nil {
		return found, err
	}
	b, err := runner.Build(ctx, runner.BuildOptions{Dir: dir, Planted: list})
	if err != nil {
		return found, err
	}
	seeds, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	found.ran, _ = b.RunAll(seeds, runner.Seeds(o.first, o.count, o.steps), o.workers, func(f runner.Failure) {
		if found.seed == nil {
			found.seed = &f
		}
		cancel()
	})
	if found.seed == nil && bug.Test != "" {
		began = time.Now()
		found.test, err = bug.CaughtByTest(ctx, root, list)
	}
	found.took = time.Since(began).Round(time.Second)
	return found, err
}

// why is the first check that a run failed, or how its process ended.
func why(f *runner.Failure) string {
	if errors.Is(f.Err, runner.ErrNoEnd) {
		return runner.ErrNoEnd.Error()
	}
	for line := range strings.Lines(f.Output) {
		line = strings.TrimSpace(line)
		if _, rest, ok := strings.Cut(line, "seed_test.go:"); ok {
			_, text, _ := strings.Cut(rest, ": ")
			if check, _, ok := strings.Cut(text, ": "); ok && !strings.Contains(check, " ") {
				return check
			}
		}
		if strings.HasPrefix(line, "panic: ") {
			return strings.TrimPrefix(line, "panic: ")
		}
	}
	return "the process ended"
}
