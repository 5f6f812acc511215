package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// mount is one hierarchy as /proc/self/mounts has it.
type mount struct {
	dir     string
	options []string
}

// layout is what the machine offers.
type layout struct {
	unified string // mount point of version 2
	cpu     string // mount point of version 1's cpu controller
	memory  string // and of its memory controller
	// own is this process's group: below unified, below cpu, and below memory.
	ownUnified, ownCPU, ownMemory string
}

// machineLayout is that of this machine.
func machineLayout() (l layout, err error) {
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return l, err
	}
	defer mounts.Close()
	groups, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return l, err
	}
	defer groups.Close()
	return readLayout(mounts, groups)
}

// readLayout reads /proc/self/mounts and /proc/self/cgroup.
func readLayout(mounts, groups io.Reader) (layout, error) {
	var l layout
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 {
			continue
		}
		m := mount{dir: unescape(f[1]), options: strings.Split(f[3], ",")}
		if f[2] == "cgroup2" && l.unified == "" {
			l.unified = m.dir
		}
		if f[2] == "cgroup" && l.cpu == "" && slices.Contains(m.options, "cpu") {
			l.cpu = m.dir
		}
		if f[2] == "cgroup" && l.memory == "" && slices.Contains(m.options, "memory") {
			l.memory = m.dir
		}
	}
	if err := lines.Err(); err != nil {
		return l, fmt.Errorf("mounts: %w", err)
	}
	lines = bufio.NewScanner(groups)
	for lines.Scan() {
		// hierarchy:controllers:path
		f := strings.SplitN(lines.Text(), ":", 3)
		if len(f) != 3 {
			continue
		}
		own, controllers := path.Clean("/"+f[2]), strings.Split(f[1], ",")
		if f[0] == "0" && f[1] == "" {
			l.ownUnified = own
		}
		if slices.Contains(controllers, "cpu") {
			l.ownCPU = own
		}
		if slices.Contains(controllers, "memory") {
			l.ownMemory = own
		}
	}
	if err := lines.Err(); err != nil {
		return l, fmt.Errorf("own group: %w", err)
	}
	if l.unified == "" && l.cpu == "" {
		return l, errors.New("no cgroup file system is mounted")
	}
	return l, nil
}

// unescape undoes how mount points are written: \040 is a space.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
