package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Device returns the disk under a directory as the kernel names it: caps are
// on whole disks, not on partitions.
func Device(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("the disk under %s is not known", dir)
	}
	name := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	at, err := filepath.EvalSymlinks("/sys/dev/block/" + name)
	if err != nil {
		return "", fmt.Errorf("%s lies on no disk: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(at, "partition")); err != nil {
		return name, nil
	}
	disk, err := os.ReadFile(filepath.Join(filepath.Dir(at), "dev"))
	return strings.TrimSpace(string(disk)), err
}
