package cut

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// ownerOf finds the node among pids whose process holds the other end of a
// loopback connection: by the socket's inode.
func ownerOf(in net.Conn, pids map[string]int) (string, bool) {
	inode, ok := inodeOf(in.RemoteAddr(), in.LocalAddr())
	if !ok {
		return "", false
	}
	want := "socket:[" + inode + "]"
	for name, pid := range pids {
		if pid == 0 {
			continue
		}
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if what, err := os.Readlink(fd); err == nil && what == want {
				return name, true
			}
		}
	}
	return "", false
}

// inodeOf looks a TCP socket up by its two ends.
func inodeOf(local, remote net.Addr) (string, bool) {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return "", false
	}
	defer f.Close()
	l, r := tableAddr(local), tableAddr(remote)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[1] == l && fields[2] == r && fields[9] != "0" {
			return fields[9], true
		}
	}
	return "", false
}

// tableAddr writes an IPv4 address as the kernel's table does: bytes of a
// little-endian number, in hexadecimal.
func tableAddr(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok || t.IP.To4() == nil {
		return ""
	}
	ip := t.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], t.Port)
}
