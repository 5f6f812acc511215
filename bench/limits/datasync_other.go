//go:build !linux

package limits

import "os"

// dataSync syncs everything: there is nothing finer.
func dataSync(f *os.File) error { return f.Sync() }
