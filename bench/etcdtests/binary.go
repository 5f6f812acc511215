package etcdtests

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Binary is the compiled tests of one package.
type Binary struct {
	pkg  string
	path string
	dir  string // where the tests run
	bin  string // where the binaries are that they start
	env  []string
}

// List names the top-level tests that match the pattern, in the order they run.
func (b *Binary) List(ctx context.Context, pattern string) ([]string, error) {
	cmd := exec.CommandContext(ctx, b.path, "-test.list", pattern)
	cmd.Dir = b.dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests of %s: %w", b.pkg, explain(err))
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		name := strings.TrimSpace(line)
		if strings.HasPrefix(name, "Test") && name != "TestMain" || strings.HasPrefix(name, "Example") {
			names = append(names, name)
		}
	}
	return names, nil
}

// killGrace is how long after its own deadline a test's process may still live: the
// test binary prints its goroutines and exits by itself at the deadline.
const killGrace = 10 * time.Second

// Run runs one top-level test to its end or to the deadline, and ends what it left
// running (E4).
func (b *Binary) Run(ctx context.Context, test string, limit time.Duration) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit+killGrace)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json", "-t", b.path,
		"-test.v=test2json", "-test.run", "^"+test+"$", "-test.timeout", limit.String())
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), b.env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killGrace
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// How it exited says no more than the events do: a failed test exits with 1, and a
	// crash leaves a test without a result (E3).
	_ = cmd.Wait()
	if err := sweep(b.bin); err != nil {
		return nil, err
	}
	return parse(b.pkg, test, &out)
}
