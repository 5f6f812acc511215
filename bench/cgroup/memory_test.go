package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMemoryLayouts(t *testing.T) {
	for _, c := range []struct {
		name, mounts, groups string
		want                 []string
	}{
		{"a tree of its own", "cgroup /c/cpu cgroup rw,cpu 0 0\ncgroup /c/memory cgroup rw,memory 0 0\n", "1:cpu:/\n4:memory:/a/b\n", []string{"/c/memory/a/b", "/c/memory"}},
		{"one tree for both", "cgroup /c/both cgroup rw,cpu,memory 0 0\n", "1:cpu,memory:/\n", []string{"/c/both"}},
	} {
		l := layoutOf(t, c.mounts, c.groups)
		if got := l.memoryDirs(); !slices.Equal(got, c.want) || l.cpu == "" {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Both versions by their file names; the kernel's part is played by a directory.
func TestMemoryFiles(t *testing.T) {
	for version, c := range map[int]struct{ limit, swap, swapCap, peak, events string }{
		1: {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "1048576", "memory.max_usage_in_bytes", "memory.oom_control"},
		2: {"memory.max", "memory.swap.max", "0", "memory.peak", "memory.events"},
	} {
		g := &Group{dir: t.TempDir(), memory: t.TempDir(), parent: &Parent{version: version}}
		file := func(name string) string { return filepath.Join(g.memory, name) }
		if err := g.CapMemory(1<<20 + 1); err != nil { // of less than a page nothing is left
			t.Fatal(err)
		}
		if b, err := os.ReadFile(file(c.limit)); err != nil || string(b) != "1048576" {
			t.Errorf("version %d, %s: %q, %v", version, c.limit, b, err)
		}
		if _, err := os.Stat(file(c.swap)); err == nil {
			t.Errorf("version %d: %s was made up", version, c.swap)
		}
		if err := write(file(c.swap), "max"); err != nil {
			t.Fatal(err)
		}
		if err := g.CapMemory(1 << 20); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(file(c.swap)); err != nil || string(b) != c.swapCap {
			t.Errorf("version %d, %s: %q, %v", version, c.swap, b, err)
		}
		if _, err := g.Memory(); err == nil {
			t.Errorf("version %d: counters that are not there were read", version)
		}
		for name, text := range map[string]string{c.peak: "4096\n", c.events: "oom 5\noom_kill 3\n"} {
			if err := write(file(name), text); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := g.Memory(); err != nil || m != (Memory{4096, 3}) {
			t.Errorf("version %d: %+v, %v", version, m, err)
		}
	}
}

// I1: without the controller nothing is capped.
func TestMemoryRefusals(t *testing.T) {
	g := &Group{dir: t.TempDir(), parent: &Parent{version: 1}}
	if g.CapMemory(1<<30) == nil {
		t.Error("a group outside of the controller's tree was capped")
	}
	outer := t.TempDir()
	if err := write(filepath.Join(outer, "cgroup.controllers"), "cpu io\n"); err != nil {
		t.Fatal(err)
	}
	p := &Parent{dir: filepath.Join(outer, "p"), version: 2}
	if err := p.OpenMemory(); err == nil || !strings.Contains(err.Error(), "no memory controller") {
		t.Errorf("opened without the controller: %v", err)
	}
}

// A process that takes more than its group may is ended, and counted, and was
// within from its beginning. Where groups cannot be made the test says so.
func TestMemoryCapHolds(t *testing.T) {
	p, err := Open("")
	if err == nil {
		if err = p.OpenMemory(); err != nil {
			_ = p.Close()
		}
	}
	if err != nil {
		t.Skip(err)
	}
	g, err := p.Group("grow")
	if err != nil {
		t.Fatal(err)
	}
	const most = 32 << 20
	if err := g.CapMemory(most); err != nil {
		t.Fatal(err)
	}
	command := append(g.Enter(), "sh", "-c", `x=$(head -c 134217728 /dev/zero | tr '\0' x); echo "it fits: ${#x}"`)
	began := time.Now()
	out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
	if err == nil || strings.Contains(string(out), "fits") {
		t.Errorf("%v after %v: %s", err, time.Since(began), out)
	}
	m, err := g.Memory()
	if err != nil || m.OOMKills == 0 || m.Peak > most || m.Peak < most/2 {
		t.Errorf("%+v, %v", m, err)
	}
	dirs := g.dirs()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s was left behind", dir)
		}
	}
}
