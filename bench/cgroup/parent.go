package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// prefix begins the names of the groups made here; the process id follows.
const prefix = "pontoon-bench-"

// Parent holds the groups of one run.
type Parent struct {
	dir     string
	version int
	io      bool   // version 2 has the io controller here
	memory  string // what the groups of OpenMemory lie in: dir in version 2, in version 1 not; empty: none
}

// Open makes the parent of a run's groups: below dir, or if that is empty where
// this process may make one. The error says what was tried and why it cannot be.
func Open(dir string) (*Parent, error) {
	if dir != "" {
		return openBelow(dir, versionOf(dir))
	}
	l, err := machineLayout()
	if err != nil {
		return nil, fmt.Errorf("cgroups cannot be used: %w", err)
	}
	var tried []error
	for _, c := range l.candidates() {
		p, err := openBelow(c.dir, c.version)
		if err == nil {
			return p, nil
		}
		tried = append(tried, err)
	}
	return nil, fmt.Errorf("cgroups cannot be used (as root they can, or below a group that is delegated to this user): %w", errors.Join(tried...))
}

type candidate struct {
	dir     string
	version int
}

// candidates are the places to try, in order.
func (l *layout) candidates() (out []candidate) {
	add := func(c candidate) {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	if l.unified != "" {
		add(candidate{filepath.Join(l.unified, l.ownUnified), 2})
		add(candidate{l.unified, 2})
	}
	if l.cpu != "" {
		add(candidate{filepath.Join(l.cpu, l.ownCPU), 1})
		add(candidate{l.cpu, 1})
	}
	return out
}

// versionOf tells by the files of a group which version it is of.
func versionOf(dir string) int {
	if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil {
		return 2
	}
	return 1
}

func openBelow(dir string, version int) (*Parent, error) {
	p := &Parent{dir: filepath.Join(dir, prefix+strconv.Itoa(os.Getpid())), version: version}
	if version == 2 {
		has, err := words(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(has, "cpu") {
			return nil, fmt.Errorf("%s has no cpu controller", dir)
		}
		p.io = slices.Contains(has, "io")
		if err := enable(dir, p.controllers()...); err != nil {
			return nil, err
		}
	}
	removeStale(dir)
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return nil, err
	}
	if err := p.try(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// try caps a group of nothing (I1).
func (p *Parent) try() error {
	if p.version == 2 {
		if err := enable(p.dir, p.controllers()...); err != nil {
			return err
		}
	}
	g, err := p.Group("probe")
	if err != nil {
		return err
	}
	return errors.Join(g.CapCPU(0.5, 10*time.Millisecond), g.Close())
}

// controllers are those of version 2 that every group gets.
func (p *Parent) controllers() []string {
	if p.io {
		return []string{"cpu", "io"}
	}
	return []string{"cpu"}
}

// enable lets the groups below have the controllers.
func enable(dir string, controllers ...string) error {
	file := filepath.Join(dir, "cgroup.subtree_control")
	has, err := words(file)
	if err != nil {
		return err
	}
	for _, c := range controllers {
		if slices.Contains(has, c) {
			continue
		}
		if err := write(file, "+"+c); err != nil {
			return fmt.Errorf("%w (a group that holds processes cannot give its controllers to groups below it)", err)
		}
	}
	return nil
}

// removeStale removes what killed runs left: processes end with their run, so
// the groups are empty (I2).
func removeStale(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, old := range left {
		pid := strings.TrimPrefix(filepath.Base(old), prefix)
		if _, err := os.Stat("/proc/" + pid); err == nil {
			continue
		}
		groups, _ := filepath.Glob(filepath.Join(old, "*", "cgroup.procs"))
		for _, g := range groups {
			_ = os.Remove(filepath.Dir(g))
		}
		_ = os.Remove(old) // fails, and is no harm, while something lives in it
	}
}

// Version is 1 or 2.
func (p *Parent) Version() int { return p.version }

// Close removes the parent and all groups. Their processes must have ended.
func (p *Parent) Close() error {
	err := removeTree(p.dir)
	if p.memory != "" && p.memory != p.dir {
		err = errors.Join(err, removeTree(p.memory))
	}
	return err
}

// removeTree removes a directory of groups.
func removeTree(dir string) error {
	groups, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
	var errs []error
	for _, file := range groups {
		errs = append(errs, removeDir(filepath.Dir(file)))
	}
	return errors.Join(append(errs, removeDir(dir))...)
}

// removeDir removes a group. Its processes were awaited, but the kernel lets go
// of them a moment later.
func removeDir(dir string) error {
	var err error
	for range 100 {
		if err = os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("group left behind: %w", err)
}

func words(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	return strings.Fields(string(b)), err
}

func write(file, value string) error { return os.WriteFile(file, []byte(value), 0o644) }
