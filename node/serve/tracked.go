package serve

import (
	"net"
	"sync"
)

// tracked is a listener that can close what it accepted: a connection that
// never says a word belongs to no server yet, and nothing else would end it. It
// accepts nothing before it may; connections wait meanwhile.
type tracked struct {
	net.Listener
	may  <-chan struct{}
	over chan struct{}
	once sync.Once

	mu     sync.Mutex
	conns  map[*trackedConn]struct{}
	closed bool
}

type trackedConn struct {
	net.Conn
	from *tracked
}

func track(l net.Listener, may <-chan struct{}) *tracked {
	return &tracked{Listener: l, may: may, over: make(chan struct{}), conns: map[*trackedConn]struct{}{}}
}

// Accept implements net.Listener.
func (t *tracked) Accept() (net.Conn, error) {
	select {
	case <-t.may:
	case <-t.over:
		return nil, net.ErrClosed
	}
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tc := &trackedConn{c, t}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	t.conns[tc] = struct{}{}
	return tc, nil
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.from.mu.Lock()
	delete(c.from.conns, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}

// Close implements net.Listener.
func (t *tracked) Close() error {
	t.once.Do(func() { close(t.over) })
	return t.Listener.Close()
}

// closeConns closes what is still open, and what is accepted from now on.
func (t *tracked) closeConns() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.conns {
		c.Conn.Close()
	}
	clear(t.conns)
}
