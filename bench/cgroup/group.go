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
	memory string // with the files of the memory controller, may be dir; empty: none
	parent *Parent
}

// Group makes a group.
func (p *Parent) Group(name string) (*Group, error) {
	g := &Group{dir: filepath.Join(p.dir, name), parent: p}
	if p.memory != "" {
		g.memory = filepath.Join(p.memory, name)
	}
	for i, dir := range g.dirs() {
		if err := makeDir(dir); err != nil {
			for _, made := range g.dirs()[:i] {
				err = errors.Join(err, removeDir(made))
			}
			return nil, err
		}
	}
	return g, nil
}

func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil { // a directory like any other (I1)
		return errors.Join(fmt.Errorf("%s does not lie in a cgroup file system", dir), removeDir(dir))
	}
	return nil
}

// dirs are the directories that make up the group.
func (g *Group) dirs() []string {
	if g.memory != "" && g.memory != g.dir {
		return []string{g.dir, g.memory}
	}
	return []string{g.dir}
}

func (g *Group) file(name string) string { return filepath.Join(g.dir, name) }

// Close removes the group. Its processes must have ended.
func (g *Group) Close() (err error) {
	for _, dir := range g.dirs() {
		err = errors.Join(err, removeDir(dir))
	}
	return err
}

// Add moves a process, with all its threads, into the group.
func (g *Group) Add(pid int) error {
	for _, dir := range g.dirs() {
		if err := write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("move process %d: %w", pid, err)
		}
	}
	return nil
}

// enter moves the shell, which the kernel calls 0, and becomes what follows.
const enter = `while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`

// Enter returns a command that is in the group before it becomes the command
// that is appended to it, and keeps its process id: all that this one uses is
// the group's (I3).
func (g *Group) Enter() []string {
	command := append([]string{"sh", "-c", enter, "sh"}, g.dirs()...)
	return append(command, "--")
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
		return set(g.file("cpu.max"), q+" "+p)
	}
	return errors.Join(set(g.file("cpu.cfs_period_us"), p), set(g.file("cpu.cfs_quota_us"), q))
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

// set writes a value and reads whether it was taken (I1).
func set(file, value string) error {
	if err := write(file, value); err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(b)); got != value {
		return fmt.Errorf("%s is %q after %q was written", file, got, value)
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
