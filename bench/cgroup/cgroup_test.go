package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func layoutOf(t *testing.T, mounts, groups string) layout {
	t.Helper()
	l, err := readLayout(strings.NewReader(mounts), strings.NewReader(groups))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		name, mounts, groups string
		want                 []candidate
	}{
		{"version 2", "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", "0::/user.slice/a\n",
			[]candidate{{"/sys/fs/cgroup/user.slice/a", 2}, {"/sys/fs/cgroup", 2}}},
		{"version 1", "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n",
			"3:cpuset:/x\n2:cpu,cpuacct:/docker/1\n", []candidate{{"/sys/fs/cgroup/cpu,cpuacct/docker/1", 1}, {"/sys/fs/cgroup/cpu,cpuacct", 1}}},
		{"both", "cgroup /c/cpu cgroup rw,cpu 0 0\ncgroup /c/cpuset cgroup rw,cpuset 0 0\ncgroup2 /c/my\\040uni cgroup2 rw 0 0\n",
			"1:cpu:/\n0::/\n", []candidate{{"/c/my uni", 2}, {"/c/cpu", 1}}},
	} {
		l := layoutOf(t, c.mounts, c.groups)
		got := l.candidates()
		if len(got) != len(c.want) {
			t.Errorf("%s: %v", c.name, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", c.name, got[i], c.want[i])
			}
		}
	}
	if _, err := readLayout(strings.NewReader("proc /proc proc rw 0 0\n"), strings.NewReader("")); err == nil {
		t.Error("cgroups were found where there are none")
	}
}

// Version 2 by its file names; the kernel's part is played by a directory.
func TestVersion2Files(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup.controllers": "cpuset cpu io memory\n", "cgroup.subtree_control": "cpu io\n"} {
		if err := write(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	p := &Parent{dir: dir, version: versionOf(dir), io: true}
	g := &Group{dir: filepath.Join(dir, "n1"), parent: p}
	if err := os.Mkdir(g.dir, 0o755); err != nil || p.Version() != 2 {
		t.Fatal(err, p.Version())
	}
	for _, err := range []error{enable(dir, "cpu", "io"), g.CapCPU(0.15, 10*time.Millisecond), g.CapWrites("8:0", 1<<20), g.Add(42)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"cpu.max": "1500 10000", "io.max": "8:0 wbps=1048576", "cgroup.procs": "42"} {
		if b, err := os.ReadFile(g.file(name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if g.CapCPU(0.05, 10*time.Millisecond) == nil {
		t.Error("a quota below the kernel's least was accepted")
	}
	if err := write(g.file("cpu.stat"), "usage_usec 9\nnr_periods 40\nnr_throttled 10\n"); err != nil {
		t.Fatal(err)
	}
	if now, err := g.Throttle(); err != nil || now.Share(Throttle{20, 5}) != 0.25 || now.Share(now) != 0 {
		t.Errorf("%+v, %v", now, err)
	}
	if write(filepath.Join(dir, "cgroup.controllers"), "memory\n") != nil {
		t.Fatal("write")
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "no cpu controller") {
		t.Errorf("opened without the controller: %v", err)
	}
}

// I1: what the kernel did not take is an error.
func TestRefusals(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a group below nothing")
	}
	plain := t.TempDir()
	if _, err := Open(plain); err == nil || !strings.Contains(err.Error(), "does not lie in a cgroup file system") {
		t.Errorf("a plain directory passed for a group: %v", err)
	}
	if left, _ := os.ReadDir(plain); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	g := &Group{dir: t.TempDir(), parent: &Parent{version: 1}}
	if g.CapWrites("8:0", 1) == nil {
		t.Error("version 1 promised to cap writes")
	}
}

// A process that only computes gets what its group may use. Where groups cannot
// be made the test says so.
func TestCapHolds(t *testing.T) {
	p, err := Open("")
	if err != nil {
		t.Skip(err)
	}
	g, err := p.Group("burn")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.CapCPU(0.1, 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "read go; while :; do :; done")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Error(err)
	}
	began := time.Now()
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Error(err)
	}
	for { // until the cap held it back often enough to tell
		now, err := g.Throttle()
		if err != nil || now.Throttled >= 20 || time.Since(began) > 20*time.Second {
			if err != nil || now.Throttled < 20 {
				t.Errorf("%+v, %v", now, err)
			}
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(began)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if share := used.Seconds() / took.Seconds(); share > 0.2 {
		t.Errorf("used %.2f cores under a cap of 0.1", share)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.dir); err == nil {
		t.Error("the group was left behind")
	}
}
