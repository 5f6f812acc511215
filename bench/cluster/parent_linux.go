package cluster

import "syscall"

// dieWithParent makes the kernel kill a node when this process ends, however it
// ends (I1), and keeps terminal signals away from nodes.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
