package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// OpenMemory lets the groups that are made from now on cap memory too. The error
// says why they cannot.
func (p *Parent) OpenMemory() error {
	if p.version == 2 {
		return p.openMemory2()
	}
	l, err := machineLayout()
	if err != nil {
		return fmt.Errorf("memory cannot be capped: %w", err)
	}
	if l.memory == "" {
		return errors.New("memory cannot be capped: no memory controller is mounted")
	}
	tried := []error{errors.New("memory cannot be capped")}
	for _, dir := range l.memoryDirs() {
		if err = p.openMemory1(dir); err == nil {
			return nil
		}
		tried = append(tried, err)
	}
	return errors.Join(tried...)
}

// openMemory2 takes the controller to the groups that are there: those who cap
// CPU alone do without it, as it is not given to groups beside processes.
func (p *Parent) openMemory2() error {
	outer := filepath.Dir(p.dir)
	has, err := words(filepath.Join(outer, "cgroup.controllers"))
	if err != nil {
		return err
	}
	if !slices.Contains(has, "memory") {
		return fmt.Errorf("memory cannot be capped: %s has no memory controller", outer)
	}
	for _, dir := range []string{outer, p.dir} {
		if err := enable(dir, "memory"); err != nil {
			return fmt.Errorf("memory cannot be capped: %w", err)
		}
	}
	p.memory = p.dir
	return p.tryMemory()
}

// memoryDirs are the places to try in version 1's tree of memory, in order.
func (l *layout) memoryDirs() []string {
	return slices.Compact([]string{filepath.Join(l.memory, l.ownMemory), l.memory})
}

func (p *Parent) openMemory1(dir string) error {
	removeStale(dir)
	p.memory = filepath.Join(dir, filepath.Base(p.dir))
	err := os.Mkdir(p.memory, 0o755)
	if err == nil {
		if err = p.tryMemory(); err == nil {
			return nil
		}
		err = errors.Join(err, removeTree(p.memory))
	}
	p.memory = ""
	return err
}

// tryMemory caps a group of nothing and reads what it took (I1).
func (p *Parent) tryMemory() error {
	g, err := p.Group("probe")
	if err != nil {
		return err
	}
	_, err = g.Memory()
	return errors.Join(g.CapMemory(1<<30), err, g.Close())
}

// CapMemory bounds the memory that the group holds, its cached pages of files
// too, and proves that the kernel took it. It swaps nothing out instead.
func (g *Group) CapMemory(bytes int64) error {
	if g.memory == "" {
		return errors.New("memory cannot be capped: OpenMemory was not called, or failed") // I1
	}
	bytes -= bytes % int64(os.Getpagesize()) // as the kernel counts
	limit, swap, most := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", strconv.FormatInt(bytes, 10)
	with := most // version 1 bounds memory and swap together
	if g.parent.version == 2 {
		limit, swap, with = "memory.max", "memory.swap.max", "0"
	}
	if err := set(filepath.Join(g.memory, limit), most); err != nil {
		return err
	}
	swapFile := filepath.Join(g.memory, swap)
	if _, err := os.Stat(swapFile); errors.Is(err, os.ErrNotExist) {
		return nil // the kernel does not count what is swapped out
	}
	return set(swapFile, with)
}

// Memory is what a group took since it was made.
type Memory struct {
	Peak     int64 // bytes, cached pages of files too
	OOMKills int64 // processes that the kernel ended for lack of memory
}

// Memory reads the counters.
func (g *Group) Memory() (m Memory, err error) {
	peak, events := "memory.max_usage_in_bytes", "memory.oom_control"
	if g.parent.version == 2 {
		peak, events = "memory.peak", "memory.events"
	}
	got, err := words(filepath.Join(g.memory, peak))
	if err != nil {
		return m, err
	}
	if m.Peak, err = strconv.ParseInt(strings.Join(got, " "), 10, 64); err != nil {
		return m, fmt.Errorf("%s of %s: %w", peak, g.memory, err)
	}
	m.OOMKills, err = counter(filepath.Join(g.memory, events), "oom_kill")
	return m, err
}

// counter reads one line of a file of names and numbers.
func counter(file, name string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s does not count %s", file, name)
}
