package cut

import (
	"errors"
	"io"
	"net"
	"sync"
)

// conn is one proxied connection.
type conn struct {
	from, to string
	in, out  net.Conn
	over     chan struct{}
	once     sync.Once
}

func (c *conn) close() {
	c.once.Do(func() {
		close(c.over)
		_ = c.in.Close()
		if c.out != nil {
			_ = c.out.Close()
		}
	})
}

// serve carries one connection to its target.
func (n *Net) serve(to, target string, in net.Conn) {
	from, open := n.owner(in)
	c := &conn{from: from, to: to, in: in, over: make(chan struct{})}
	defer c.close()
	if !open || !n.enter(c) {
		return
	}
	defer n.leave(c)
	// Nothing is answered before both directions of the handshake are open.
	if !n.open(link{c.from, to}, c.over) || !n.open(link{to, c.from}, c.over) {
		return
	}
	out, err := net.Dial("tcp", target)
	if err != nil {
		return // the node is down: so is the connection
	}
	n.mu.Lock()
	c.out = out
	n.mu.Unlock()
	select {
	case <-c.over:
		_ = out.Close()
		return
	default:
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		n.pump(c, link{to, c.from}, in, out)
	}()
	n.pump(c, link{c.from, to}, out, in)
	<-back
}

// enter adds a connection unless it is refused.
func (n *Net) enter(c *conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.from == "" && !n.closed {
		n.strange++
		n.logger.Warn("connection of an unknown process", "to", c.to, "from", c.in.RemoteAddr())
	}
	if n.closed || n.reset[link{c.from, c.to}] || n.reset[link{c.to, c.from}] {
		return false
	}
	n.conns[c] = true
	return true
}

func (n *Net) leave(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// pump carries one direction. What was read when the link is cut waits, and the
// rest stays in the sockets' buffers.
func (n *Net) pump(c *conn, l link, dst io.Writer, src io.Reader) {
	buf := make([]byte, 32<<10)
	for n.open(l, c.over) {
		k, err := src.Read(buf)
		if k > 0 {
			if !n.late(l, c.over) || !n.open(l, c.over) {
				return
			}
			if _, err := dst.Write(buf[:k]); err != nil {
				c.close()
				return
			}
		}
		if errors.Is(err, io.EOF) && halfClose(dst) {
			return // the other direction goes on
		}
		if err != nil {
			c.close()
			return
		}
	}
}

// halfClose passes an end of stream on.
func halfClose(w io.Writer) bool {
	t, ok := w.(*net.TCPConn)
	return ok && t.CloseWrite() == nil
}
