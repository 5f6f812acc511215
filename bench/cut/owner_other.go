//go:build !linux

package cut

import "net"

// ownerOf needs the tables of a Linux kernel.
func ownerOf(net.Conn, map[string]int) (string, bool) { return "", true }
