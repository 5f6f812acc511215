package disk

import (
	"errors"
	"os"
)

// Check says why this machine cannot have such disks; nil: it can.
func Check() error {
	at, err := os.MkdirTemp("", "pontoon-disk-")
	if err != nil {
		return err
	}
	d, err := New(at)
	if err == nil {
		err = d.Close()
	}
	return errors.Join(err, os.Remove(at))
}
