package gossip

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	packetDepth = 1024 // received packets that memberlist has not taken
	streamDepth = 64   // incoming connections that it has not taken
	// acceptedBit marks frames from the side that accepted a connection.
	acceptedBit = 1 << 63
)

var errClosed = errors.New("gossip: transport is closed")

// transport carries memberlist's packets and connections over the Peer.Gossip
// streams of node pairs. What this node sends goes over the streams it opened,
// what others send comes over theirs.
type transport struct {
	self    proto.NodeID
	peers   Peers
	ctx     context.Context // of all links; ends with Shutdown
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	packets chan *memberlist.Packet
	streams chan net.Conn
	// onSuspicion is called without locks when suspects changes its mind.
	onSuspicion func(proto.NodeID)

	mu     sync.Mutex
	down   map[proto.NodeID]bool // link broke, nothing was heard since
	links  map[proto.NodeID]*link
	conns  map[connKey]*conn
	nextID uint64
}

// connKey names a connection: the other node, and the stream id with
// acceptedBit where the other side accepted it.
type connKey struct {
	node proto.NodeID
	id   uint64
}

func newTransport(self proto.NodeID, peers Peers) *transport {
	ctx, cancel := context.WithCancel(context.Background())
	return &transport{
		self: self, peers: peers, ctx: ctx, cancel: cancel,
		packets: make(chan *memberlist.Packet, packetDepth), streams: make(chan net.Conn, streamDepth),
		onSuspicion: func(proto.NodeID) {}, down: map[proto.NodeID]bool{},
		links: map[proto.NodeID]*link{}, conns: map[connKey]*conn{},
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return ipOf(t.self), addressPort, nil
}

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(b []byte, address string) (time.Time, error) {
	node, err := nodeOf(address)
	if err != nil {
		return time.Time{}, err
	}
	if node == t.self {
		t.deliver(node, b)
		return time.Now(), nil
	}
	l, err := t.link(node)
	if err != nil {
		return time.Time{}, err
	}
	// memberlist reuses its buffers.
	l.offer(&pontoonpb.GossipPacket{FromNode: uint64(t.self), Packet: append([]byte(nil), b...)})
	return time.Now(), nil
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	node, err := nodeOf(address)
	if err != nil {
		return nil, err
	}
	l, err := t.link(node)
	if err != nil {
		return nil, err
	}
	if err := l.await(timeout); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nextID++
	return t.connect(connKey{node, t.nextID | acceptedBit}, t.nextID), nil
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// connect registers a connection. in is what frames to it carry, out what it
// sends. Called with mu held.
func (t *transport) connect(in connKey, out uint64) *conn {
	c := newConn(t, in, out)
	t.conns[in] = c
	return c
}

// Shutdown implements memberlist.Transport.
func (t *transport) Shutdown() error {
	t.cancel()
	t.mu.Lock()
	conns := make([]*conn, 0, len(t.conns))
	for _, c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	for _, c := range conns {
		c.fail(io.EOF)
	}
	t.wg.Wait()
	return nil
}

// link returns the outgoing stream to a node, opening it if there is none.
func (t *transport) link(node proto.NodeID) (*link, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return nil, errClosed
	}
	if l := t.links[node]; l != nil {
		return l, nil
	}
	l := newLink(node)
	t.links[node] = l
	t.wg.Go(func() {
		l.run(t.ctx, t.peers)
		t.unlink(l)
	})
	return l, nil
}

// unlink forgets a broken link and breaks the connections over it.
func (t *transport) unlink(l *link) {
	t.mu.Lock()
	if t.links[l.node] == l {
		delete(t.links, l.node)
	}
	suspicion := t.ctx.Err() == nil && !t.down[l.node]
	t.down[l.node] = true
	var broken []*conn
	for key, c := range t.conns {
		if key.node == l.node {
			broken = append(broken, c)
		}
	}
	t.mu.Unlock()
	for _, c := range broken {
		c.fail(io.ErrUnexpectedEOF)
	}
	if suspicion {
		t.onSuspicion(l.node)
	}
}

// suspects reports whether the link to a node broke and nothing was heard from
// it since.
func (t *transport) suspects(node proto.NodeID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.down[node]
}

// heard ends a suspicion.
func (t *transport) heard(node proto.NodeID) {
	t.mu.Lock()
	suspected := t.down[node]
	delete(t.down, node)
	t.mu.Unlock()
	if suspected {
		t.onSuspicion(node)
	}
}

// serve takes in what another node sends.
func (t *transport) serve(stream pontoonpb.Peer_GossipServer) error {
	for {
		p, err := stream.Recv()
		if err != nil {
			return err
		}
		if t.ctx.Err() != nil {
			return errClosed
		}
		node := proto.NodeID(p.FromNode)
		t.heard(node)
		if p.Stream == 0 {
			t.deliver(node, p.Packet)
		} else {
			t.deliverStream(node, p)
		}
	}
}

func (t *transport) deliver(from proto.NodeID, b []byte) {
	p := &memberlist.Packet{Buf: append([]byte(nil), b...), From: addr(from), Timestamp: time.Now()}
	select {
	case t.packets <- p:
	default: // (I2)
	}
}

// deliverStream passes bytes to a connection; the first ones of an id that the
// other side dialled make one. No bytes mean that the other side closed it.
func (t *transport) deliverStream(from proto.NodeID, p *pontoonpb.GossipPacket) {
	key := connKey{from, p.Stream}
	t.mu.Lock()
	c := t.conns[key]
	fresh := c == nil && p.Stream&acceptedBit == 0 && len(p.Packet) > 0
	if fresh {
		c = t.connect(key, p.Stream|acceptedBit)
	}
	t.mu.Unlock()
	if c == nil {
		return
	}
	if len(p.Packet) == 0 {
		c.fail(io.EOF)
		return
	}
	c.receive(p.Packet)
	if fresh {
		select {
		case t.streams <- c:
		default:
			c.Close()
		}
	}
}

func (t *transport) disconnect(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns[c.in] == c {
		delete(t.conns, c.in)
	}
}
