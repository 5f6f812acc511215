package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// simulation is the package with the test that runs a seed.
const simulation = "github.com/pontoon-kv/pontoon/sim"

// limit is how long one seed may take, in real time. Whatever takes longer goes
// round without time going on.
const limit = 5 * time.Minute

// Binary is a built simulation.
type Binary struct{ path string }

// Build builds the simulation into an existing directory. The first time it
// builds the standard library too, which takes minutes.
func Build(ctx context.Context, dir string) (*Binary, error) {
	list, err := overlay(dir)
	if err != nil {
		return nil, err
	}
	b := &Binary{filepath.Join(dir, "sim.test")}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", list, "-o", b.path, simulation)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the product; and no threads that the runtime does not start
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("runner: build: %w\n%s", err, out)
	}
	return b, nil
}

// Seed is one run to do.
type Seed struct {
	Seed  uint64
	Steps int  // 0: the default
	Log   bool // with all that nodes log
}

// Replay is the command that does it again.
func (s Seed) Replay() string {
	if s.Steps == 0 {
		return fmt.Sprintf("make sim SEED=%d", s.Seed)
	}
	return fmt.Sprintf("make sim SEED=%d STEPS=%d", s.Seed, s.Steps)
}

// Run runs a seed and writes what it prints. An error is a failed seed.
func (b *Binary) Run(ctx context.Context, s Seed, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	args := []string{"-test.run=^TestSeed$", "-test.v", "-test.timeout=0", "-sim.seed=" + strconv.FormatUint(s.Seed, 10)}
	if s.Steps > 0 {
		args = append(args, "-sim.steps="+strconv.Itoa(s.Steps))
	}
	if s.Log {
		args = append(args, "-sim.log")
	}
	cmd := exec.CommandContext(ctx, b.path, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400", "GODEBUG=gcstoptheworld=2")
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("seed %d: no end after %v: %w", s.Seed, limit, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("seed %d: %w", s.Seed, err)
	}
	return nil
}

// Failure is a seed that failed, with what it printed.
type Failure struct {
	Seed   Seed
	Err    error
	Output string
}

// RunAll runs seeds, as many at a time as there are workers, and tells of each
// failure as it happens. It returns the number of failures.
func (b *Binary) RunAll(ctx context.Context, seeds []Seed, workers int, failed func(Failure)) int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next, failures := 0, 0
	for range workers {
		wg.Go(func() {
			for {
				mu.Lock()
				if next == len(seeds) || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				s := seeds[next]
				next++
				mu.Unlock()
				var out bytes.Buffer
				err := b.Run(ctx, s, &out)
				if err == nil || errors.Is(ctx.Err(), context.Canceled) {
					continue
				}
				mu.Lock()
				failures++
				failed(Failure{s, err, out.String()})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failures
}
