package measure

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// DiskSize sums what the files below some directories are long. Files that end
// while it looks do not count.
func DiskSize(dirs []string) (total int64, err error) {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return gone(err)
			}
			info, err := d.Info()
			if err != nil {
				return gone(err)
			}
			total += info.Size()
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return total, nil
}

func gone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
