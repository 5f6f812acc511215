package gossip

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	maxFrame = 64 << 10 // bytes of a connection in one packet
	// maxUnread bounds what a connection holds for its reader. memberlist's
	// exchanges are far smaller; a peer that sends more is cut off.
	maxUnread = 16 << 20
)

var errTimeout = os.ErrDeadlineExceeded

// conn is one of memberlist's connections.
type conn struct {
	t   *transport
	in  connKey
	out uint64 // stream id of what it sends

	mu            sync.Mutex
	unread        []byte
	err           error         // after unread; nil: open
	changed       chan struct{} // closed and replaced when any of these changes
	closed        bool
	readDeadline  time.Time
	writeDeadline time.Time
}

func newConn(t *transport, in connKey, out uint64) *conn {
	return &conn{t: t, in: in, out: out, changed: make(chan struct{})}
}

// wakeLocked lets blocked readers look again.
func (c *conn) wakeLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// receive takes in bytes from the other side.
func (c *conn) receive(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if len(c.unread)+len(b) > maxUnread {
		c.err = io.ErrShortBuffer
	} else {
		c.unread = append(c.unread, b...)
	}
	c.wakeLocked()
}

// fail ends the connection once what was received is read.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		c.wakeLocked()
	}
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	for {
		c.mu.Lock()
		switch {
		case c.closed:
			c.mu.Unlock()
			return 0, net.ErrClosed
		case len(c.unread) > 0:
			n := copy(b, c.unread)
			c.unread = c.unread[n:]
			c.mu.Unlock()
			return n, nil
		case c.err != nil:
			err := c.err
			c.mu.Unlock()
			return 0, err
		}
		changed, deadline := c.changed, c.readDeadline
		c.mu.Unlock()
		expired, stop := after(deadline)
		select {
		case <-changed:
		case <-expired:
			return 0, errTimeout
		}
		stop()
	}
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	closed, deadline := c.closed, c.writeDeadline
	c.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	l, err := c.t.link(c.in.node)
	if err != nil {
		return 0, err
	}
	expired, stop := after(deadline)
	defer stop()
	sent := 0
	for sent < len(b) {
		part := b[sent:min(sent+maxFrame, len(b))]
		if err := l.push(c.frame(part), expired); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return sent, nil
}

func (c *conn) frame(part []byte) *pontoonpb.GossipPacket {
	return &pontoonpb.GossipPacket{
		FromNode: uint64(c.t.self), Stream: c.out, Packet: append([]byte(nil), part...),
	}
}

// closeWait bounds how long the last frame waits for room.
const closeWait = time.Second

// Close implements net.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	already := c.closed
	c.closed = true
	c.unread = nil
	if !already {
		c.wakeLocked()
	}
	c.mu.Unlock()
	if already {
		return nil
	}
	c.t.disconnect(c)
	l, err := c.t.link(c.in.node)
	if err != nil {
		return nil // the transport is gone, and the other side sees that
	}
	return l.push(c.frame(nil), time.After(closeWait))
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return addr(c.t.self) }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return addr(proto.NodeID(c.in.node)) }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
	c.wakeLocked()
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeDeadline = t
	return nil
}

// after returns a channel that fires at the deadline; zero: never.
func after(deadline time.Time) (<-chan time.Time, func()) {
	if deadline.IsZero() {
		return nil, func() {}
	}
	t := time.NewTimer(time.Until(deadline))
	return t.C, func() { t.Stop() }
}
