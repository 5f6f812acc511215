//go:build !linux

package cluster

import "syscall"

// dieWithParent has no counterpart on this system: only Close ends nodes.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
