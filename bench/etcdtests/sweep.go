package etcdtests

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sweepLimit is how long killed processes may take to be gone.
const sweepLimit = 10 * time.Second

// sweep kills the processes that were started from a directory, which is the run's own,
// and waits until they are gone. A test that crashes or is cut off stops no server.
func sweep(bin string) error {
	for deadline := time.Now().Add(sweepLimit); ; {
		left, err := startedFrom(bin)
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end", left)
		}
		for _, pid := range left {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				return fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// startedFrom lists the processes whose first argument is a file in the directory.
func startedFrom(bin string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // no process
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil {
			continue // it has gone meanwhile
		}
		name, _, _ := bytes.Cut(line, []byte{0})
		if strings.HasPrefix(string(name), bin+string(filepath.Separator)) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
