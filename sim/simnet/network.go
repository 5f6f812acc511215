package simnet

import (
	"context"
	"hash/fnv"
	"net"
	"sync"
	"time"
)

// Network is a set of hosts, each linked with each.
type Network struct {
	seed  uint64
	shape Shape // of a link nobody has changed

	mu    sync.Mutex
	hosts map[string]*Host
	links map[[2]string]*link
	count map[[2]string]uint64 // connections so far
}

// New returns a network whose links are all shaped alike.
func New(seed uint64, shape Shape) *Network {
	return &Network{seed: seed, shape: shape, hosts: map[string]*Host{}, links: map[[2]string]*link{}, count: map[[2]string]uint64{}}
}

// Host returns the host with an address, making it if it is new.
func (n *Network) Host(ip string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[ip]
	if h == nil {
		h = &Host{net: n, ip: ip, listeners: map[string]*listener{}, conns: map[*conn]bool{}}
		n.hosts[ip] = h
	}
	return h
}

// Set changes the link from one host to another, in this direction.
func (n *Network) Set(from, to *Host, s Shape) { n.link(from, to).set(s) }

// Default is the shape of links that nobody has changed.
func (n *Network) Default() Shape { return n.shape }

func (n *Network) link(from, to *Host) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := [2]string{from.ip, to.ip}
	l := n.links[key]
	if l == nil {
		s := n.shape
		if from == to {
			s = Shape{}
		}
		l = newLink(s)
		n.links[key] = l
	}
	return l
}

// shake takes the time of a handshake: one way and back, again and again while
// one of them is cut or nobody is there.
func (n *Network) shake(ctx context.Context, to *Host, there, back *link) error {
	for {
		a, changedThere := there.now()
		b, changedBack := back.now()
		wait, open := handshakeTry, !a.Cut && !b.Cut && !to.isOff()
		if open {
			wait = a.Delay + b.Delay
		} else {
			changedThere, changedBack = nil, nil // what was sent is gone
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			if open {
				return nil
			}
		case <-changedThere:
		case <-changedBack:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// connect makes both ends of a connection.
func (n *Network) connect(from, to *Host, addr *net.TCPAddr) (mine, theirs *conn) {
	there, back := n.link(from, to), n.link(to, from)
	n.mu.Lock()
	key := [2]string{from.ip, to.ip}
	n.count[key]++
	number := n.count[key]
	n.mu.Unlock()
	sum := fnv.New64a()
	sum.Write([]byte(from.ip + ">" + to.ip))
	number += sum.Sum64()
	out, in := newStream(there, n.seed, 2*number), newStream(back, n.seed, 2*number+1)
	local := &net.TCPAddr{IP: net.ParseIP(from.ip), Port: from.nextPort()}
	mine = &conn{host: from, local: local, remote: addr, out: out, in: in, read: newDeadline(), write: newDeadline(), stop: make(chan struct{})}
	theirs = &conn{host: to, local: addr, remote: local, out: in, in: out, read: newDeadline(), write: newDeadline(), stop: make(chan struct{})}
	return mine, theirs
}
