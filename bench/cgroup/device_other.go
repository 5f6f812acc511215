//go:build !linux

package cgroup

import "errors"

// Device is not known here: there are no cgroups.
func Device(string) (string, error) { return "", errors.New("no cgroups on this system") }
