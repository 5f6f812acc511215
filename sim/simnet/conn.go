package simnet

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// conn is one end of a connection.
type conn struct {
	host          *Host
	local, remote net.Addr
	out, in       *stream
	read, write   *deadline

	once sync.Once
	stop chan struct{} // closed by Close
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b, c.read, c.stop)
	return n, c.wrap("read", err)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	select {
	case <-c.stop:
		return 0, c.wrap("write", net.ErrClosed)
	default:
	}
	n, err := c.out.write(b, c.write, c.stop)
	if err == syscall.ETIMEDOUT {
		c.in.fail(err) // whoever only reads learns it too
	}
	return n, c.wrap("write", err)
}

func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Close implements net.Conn: what was written still goes.
func (c *conn) Close() error {
	c.end(false, c.out.finish)
	return nil
}

// kill ends the connection because the process at this end died: its kernel
// tells the other side.
func (c *conn) kill() {
	c.end(false, func() { c.out.reset(syscall.ECONNRESET) })
}

// unplug ends the connection without a word, because this end has no power.
func (c *conn) unplug() {
	c.end(true, c.out.drop)
}

func (c *conn) end(dark bool, say func()) {
	c.once.Do(func() {
		close(c.stop)
		say()
		c.in.abandon(dark)
		c.read.end()
		c.write.end()
		c.host.forget(c)
	})
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { c.read.set(t); return nil }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { c.write.set(t); return nil }
