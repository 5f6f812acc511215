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
		found, ran, took, err := o.find(ctx, bug)
		switch {
		case err != nil:
			return err
		case found == nil:
			missed++
			fmt.Printf("| %s | %s | MISSED | %d seeds from %d | %v |\n", bug.Name, bug.Rule, ran, o.first, took)
		default:
			fmt.Printf("| %s | %s | %s | %d | %v |\n", bug.Name, bug.Rule, why(found), found.Seed.Seed, took)
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d bugs missed", missed, len(bugs))
	}
	return nil
}

// find runs seeds with a bug until one fails; nil: none did.
func (o options) find(ctx context.Context, bug planted.Bug) (found *runner.Failure, ran int, took time.Duration, err error) {
	dir, err := os.MkdirTemp("", "planted") // not below the module: it is Go
	if err != nil {
		return nil, 0, 0, err
	}
	defer os.RemoveAll(dir)
	root, err := os.Getwd()
	if err != nil {
		return nil, 0, 0, err
	}
	list, err := bug.Overlay(root, dir)
	if err != nil {
		return nil, 0, 0, err
	}
	b, err := runner.Build(ctx, runner.BuildOptions{Dir: dir, Planted: list})
	if err != nil {
		return nil, 0, 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	ran, _ = b.RunAll(ctx, runner.Seeds(o.first, o.count, o.steps), o.workers, func(f runner.Failure) {
		if found == nil {
			found = &f
		}
		cancel()
	})
	return found, ran, time.Since(began).Round(time.Second), nil
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
