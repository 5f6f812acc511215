package measure

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine is where a run took place.
type Machine struct {
	OS       string `json:"os"`
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	MemoryGB int    `json:"memory_gb"`
	// FileSystem of the data directories.
	FileSystem string `json:"file_system"`
}

// ThisMachine describes the machine; dir is where data will lie.
func ThisMachine(dir string) Machine {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), FileSystem: fileSystem(dir)}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.OS += " " + string(bytes.TrimSpace(b))
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = field(string(b), "model name")
	}
	var kb int
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if _, err := fmt.Sscanf(field(string(b), "MemTotal"), "%d kB", &kb); err == nil {
			m.MemoryGB = (kb + 1<<19) >> 20
		}
	}
	return m
}

// field returns what follows "name :" in a file of /proc.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem finds the type of the longest mount point above dir.
func fileSystem(dir string) string {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return ""
	}
	best, kind := "", ""
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < len(best) {
			continue
		}
		if f[1] == "/" || dir == f[1] || strings.HasPrefix(dir, f[1]+"/") {
			best, kind = f[1], f[2]
		}
	}
	return kind
}

// Build is what a binary says of itself.
type Build struct {
	Version string `json:"version"` // of the main module, or of the server it wraps
	Commit  string `json:"commit,omitempty"`
	Changed bool   `json:"changed,omitempty"` // the tree had changes that were not committed
	Go      string `json:"go"`
}

// etcdServer is the module whose version is etcd's, in a binary that wraps it.
const etcdServer = "go.etcd.io/etcd/server/v3"

// ReadBuild reads the build information of a binary; wraps says that the binary
// is a main package around the etcd server.
func ReadBuild(binary string, wraps bool) (b Build, err error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return b, err
	}
	b.Go, b.Version = info.GoVersion, info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Changed = s.Value == "true"
		}
	}
	if wraps {
		for _, dep := range info.Deps {
			if dep.Path == etcdServer {
				b.Version, b.Commit, b.Changed = dep.Version, "", false
			}
		}
	}
	return b, nil
}
