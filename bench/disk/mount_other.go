//go:build !linux

package disk

import "errors"

type mount struct{}

func mountAt(string, *Disk) (mount, error) {
	return mount{}, errors.New("disk: needs Linux and FUSE")
}

func (mount) end() error { return nil }
