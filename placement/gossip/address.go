package gossip

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"

	"github.com/pontoon-kv/pontoon/proto"
)

// addressPort is in every address and stands for nothing.
const addressPort = 1

// prefix makes a unique local IPv6 address of a node id.
var prefix = [8]byte{0xfd, 'p', 'o', 'n', 't', 'o', 'o', 'n'}

// ipOf returns the address under which memberlist knows a node.
func ipOf(node proto.NodeID) net.IP {
	return binary.BigEndian.AppendUint64(prefix[:], uint64(node))
}

// addressOf returns it with a port, as memberlist joins it.
func addressOf(node proto.NodeID) string {
	return net.JoinHostPort(ipOf(node).String(), strconv.Itoa(addressPort))
}

// nodeOf is the inverse of addressOf.
func nodeOf(addr string) (proto.NodeID, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, fmt.Errorf("gossip: address %q: %w", addr, err)
	}
	ip := net.ParseIP(host).To16()
	if ip == nil || [8]byte(ip[:8]) != prefix {
		return 0, fmt.Errorf("gossip: %q is no node's address", addr)
	}
	return proto.NodeID(binary.BigEndian.Uint64(ip[8:])), nil
}

// addr is a node as a net.Addr.
type addr proto.NodeID

func (a addr) Network() string { return "pontoon" }
func (a addr) String() string  { return addressOf(proto.NodeID(a)) }
