package node

import "syscall"

// diskSpace returns the free and total bytes of the file system that holds dir,
// zeros where it does not say.
func diskSpace(dir string) (free, total int64) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, 0
	}
	return int64(fs.Bavail) * fs.Bsize, int64(fs.Blocks) * fs.Bsize
}
