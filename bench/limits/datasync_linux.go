package limits

import (
	"os"

	"golang.org/x/sys/unix"
)

// dataSync syncs data without what else the file system knows of the file.
func dataSync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
