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
// loopback connection: by the socket's inode. open is false if nobody holds it any
// more: its process ended.
func ownerOf(in net.Conn, pids map[string]int) (name string, open bool) {
	inode, err := inodeOf(in.RemoteAddr(), in.LocalAddr())
	if err != nil || inode == "" {
		return "", err != nil
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
	return "", true
}

// inodeOf looks a TCP socket up by its two ends; "": nobody has it open.
func inodeOf(local, remote net.Addr) (string, error) {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	defer f.Close()
	l, r := tableAddr(local), tableAddr(remote)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[1] == l && fields[2] == r && fields[9] != "0" {
			return fields[9], nil
		}
	}
	return "", lines.Err()
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
