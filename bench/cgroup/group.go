package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Group is one capped set of processes.
type Group struct {
	dir    string
	parent *Parent
}

// Group makes a group.
func (p *Parent) Group(name string) (*Group, error) {
	g := &Group{dir: filepath.Join(p.dir, name), parent: p}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := os.Stat(g.file("cgroup.procs")); err != nil { // a directory like any other (I1)
		return nil, errors.Join(fmt.Errorf("%s does not lie in a cgroup file system", g.dir), g.Close())
	}
	return g, nil
}

func (g *Group) file(name string) string { return filepath.Join(g.dir, name) }

// Close removes the group. Its processes must have ended.
func (g *Group) Close() error { return removeDir(g.dir) }

// Add moves a process, with all its threads, into the group.
func (g *Group) Add(pid int) error {
	if err := write(g.file("cgroup.procs"), strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("move process %d: %w", pid, err)
	}
	return nil
}

// minQuota is the least that the kernel takes.
const minQuota = time.Millisecond

// CapCPU lets the group use so many cores, counted over each period, and proves
// that the kernel took it. A short period makes pauses short.
func (g *Group) CapCPU(cores float64, period time.Duration) error {
	quota := time.Duration(cores * float64(period))
	if quota < minQuota {
		return fmt.Errorf("a quota of %v each %v is below the kernel's least of %v: take a longer period", quota, period, minQuota)
	}
	q, p := strconv.FormatInt(quota.Microseconds(), 10), strconv.FormatInt(period.Microseconds(), 10)
	if g.parent.version == 2 {
		return g.set("cpu.max", q+" "+p)
	}
	return errors.Join(g.set("cpu.cfs_period_us", p), g.set("cpu.cfs_quota_us", q))
}

// CapWrites bounds what the group writes to a disk (see Device), bytes a second.
func (g *Group) CapWrites(device string, bytesPerSecond int64) error {
	if g.parent.version == 1 {
		return errors.New("written bytes cannot be capped: version 1 of cgroups does not count what the page cache writes") // I1
	}
	if !g.parent.io {
		return errors.New("written bytes cannot be capped: there is no io controller")
	}
	if err := write(g.file("io.max"), fmt.Sprintf("%s wbps=%d", device, bytesPerSecond)); err != nil {
		return fmt.Errorf("cap writes to %s: %w", device, err)
	}
	return nil
}

func (g *Group) set(name, value string) error {
	if err := write(g.file(name), value); err != nil {
		return err
	}
	b, err := os.ReadFile(g.file(name))
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(b)); got != value {
		return fmt.Errorf("%s is %q after %q was written", g.file(name), got, value)
	}
	return nil
}

// Throttle is how often the cap held the group back.
type Throttle struct {
	Periods   int64 // in which it wanted to run
	Throttled int64 // of them, those in which it had to wait
}

// Throttle reads the counters since the group was made.
func (g *Group) Throttle() (t Throttle, err error) {
	b, err := os.ReadFile(g.file("cpu.stat"))
	if err != nil {
		return t, err
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch name {
		case "nr_periods":
			t.Periods = n
		case "nr_throttled":
			t.Throttled = n
		}
	}
	return t, nil
}

// Share is the share of periods, between an earlier reading and this one, in
// which the cap held the group back.
func (t Throttle) Share(begin Throttle) float64 {
	if t.Periods <= begin.Periods {
		return 0
	}
	return float64(t.Throttled-begin.Throttled) / float64(t.Periods-begin.Periods)
}
