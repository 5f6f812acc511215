package etcdtests

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// E4, and nothing else is touched.
func TestSweepEndsWhatIsLeft_E4(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	ours, others := t.TempDir(), t.TempDir()
	start := func(dir string) *exec.Cmd {
		name := filepath.Join(dir, "etcd")
		if err := os.Symlink(sleep, name); err != nil {
			t.Fatal(err)
		}
		cmd := &exec.Cmd{Path: name, Args: []string{name, "600"}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	left, other := start(ours), start(others)
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	ended := make(chan error, 1)
	go func() { ended <- left.Wait() }()
	if err := sweep(ours); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Fatal("it ended by itself")
	}
	if pids, err := startedFrom(others); err != nil || len(pids) != 1 {
		t.Fatalf("%v, %v: the other process is gone, too", pids, err)
	}
}
