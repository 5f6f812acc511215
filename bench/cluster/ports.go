package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports of nodes come from a span that no OS uses for outgoing connections (I3).
const firstPort, lastPort = 20000, 32000

// freePorts returns n ports that are free on the loopback interface and not
// taken. They are held until all are found, so they differ.
func freePorts(n int, taken map[int]bool) ([]int, error) {
	ports := make([]int, 0, n)
	for tries := 0; len(ports) < n; tries++ {
		if tries > 1000 {
			return nil, fmt.Errorf("no %d free ports between %d and %d", n, firstPort, lastPort)
		}
		port := firstPort + rand.IntN(lastPort-firstPort)
		if taken[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		ports = append(ports, port)
	}
	return ports, nil
}
