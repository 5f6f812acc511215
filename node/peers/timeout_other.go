//go:build !linux

package peers

import "net"

// setUserTimeout does nothing where the system has no such thing.
func setUserTimeout(net.Conn) {}
