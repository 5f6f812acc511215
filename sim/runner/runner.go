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
	"syscall"
	"time"
)

// simulation is the package with the test that runs a seed.
const simulation = "github.com/pontoon-kv/pontoon/sim"

// limit is how long one seed may take, in real time. Whatever takes longer goes
// round without time going on.
const limit = 2 * time.Minute

// ErrNoEnd: a run took longer than any does that comes to its end.
var ErrNoEnd = errors.New("no end")

// BuildOptions say what is built.
type BuildOptions struct {
	Dir string // an existing directory, for the binary and what it is made of
	// Planted, if not empty, lists files to build in the place of others, as go
	// build -overlay has it.
	Planted string
}

// Binary is a built simulation.
type Binary struct{ path string }

// Build builds the simulation. Nothing but package sim is compiled in another way
// than the product is.
func Build(ctx context.Context, o BuildOptions) (*Binary, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	b := &Binary{filepath.Join(dir, "sim.test")}
	args := []string{"test", "-c", "-vet=off", "-tags=simulated", "-ldflags=-checklinkname=0", "-o", b.path}
	if o.Planted != "" {
		args = append(args, "-overlay", o.Planted)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, simulation)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the product
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
	dir, err := os.MkdirTemp("", "sim")
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, b.path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR=.", "GOMAXPROCS=1", "GOGC=400")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // it prints where it hangs
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("seed %d: %w after %v: %w", s.Seed, ErrNoEnd, limit, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("seed %d: %w", s.Seed, err)
	}
	return nil
}

// Seeds are so many runs with default steps.
func Seeds(first uint64, count, steps int) (list []Seed) {
	for i := range count {
		list = append(list, Seed{Seed: first + uint64(i), Steps: steps})
	}
	return list
}

// Failure is a seed that failed, with what it printed.
type Failure struct {
	Seed   Seed
	Err    error
	Output string
}

// RunAll runs seeds, as many at a time as there are workers, and tells of each
// failure as it happens. It returns how many ran to the end, and how many failed.
func (b *Binary) RunAll(ctx context.Context, seeds []Seed, workers int, failed func(Failure)) (ran, failures int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := 0
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
				mu.Lock()
				switch {
				case err == nil:
					ran++
				case ctx.Err() == nil: // else it was cut off
					ran++
					failures++
					failed(Failure{s, err, out.String()})
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return ran, failures
}
