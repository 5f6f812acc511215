package simnet

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

// backlog is how many connections wait to be accepted.
const backlog = 64

// Host is one machine of the network. One process uses it at a time.
type Host struct {
	net *Network
	ip  string

	mu        sync.Mutex
	listeners map[string]*listener
	conns     map[*conn]bool
	dark      []*conn // far ends of connections that ended without a word
	port      int     // of the next connection out
	off       bool    // without power
	life      int     // of the process; one that died can do nothing any more
}

// Process is the network as one life of a process sees it.
type Process struct {
	host *Host
	life int
}

// Process starts a life on the host, after Kill or PowerOff ended the one before.
func (h *Host) Process() *Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &Process{h, h.life}
}

// Listen opens an address of this host.
func (p *Process) Listen(addr string) (net.Listener, error) {
	h := p.host
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life != p.life {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: a, Err: syscall.EPERM}
	}
	if h.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: a, Err: syscall.EADDRINUSE}
	}
	l := &listener{host: h, addr: a, key: addr, life: p.life, queue: make(chan *conn, backlog), stop: make(chan struct{})}
	h.listeners[addr] = l
	return l, nil
}

// Dial connects to an address of another host, or of this one.
func (p *Process) Dial(ctx context.Context, addr string) (net.Conn, error) {
	h := p.host
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: a, Err: err}
	}
	to := h.net.Host(a.IP.String())
	there, back := h.net.link(h, to), h.net.link(to, h)
	if err := h.net.shake(ctx, to, there, back); err != nil {
		return fail(err)
	}
	to.mu.Lock()
	l := to.listeners[addr]
	to.mu.Unlock()
	if l == nil {
		return fail(syscall.ECONNREFUSED)
	}
	mine, theirs := h.net.connect(h, to, a)
	if !h.hold(mine, p.life) || !to.hold(theirs, l.life) {
		mine.kill()
		theirs.kill()
		return fail(syscall.ECONNREFUSED)
	}
	select {
	case l.queue <- theirs:
		return mine, nil
	case <-l.stop:
	case <-ctx.Done():
		mine.Close()
		return fail(ctx.Err())
	}
	mine.Close()
	return fail(syscall.ECONNREFUSED)
}

// Kill ends all connections and listeners, as the end of a process does.
func (h *Host) Kill() { h.endAll((*conn).kill) }

// PowerOff ends them without telling anybody.
func (h *Host) PowerOff() {
	h.mu.Lock()
	h.off = true
	h.mu.Unlock()
	h.endAll((*conn).unplug)
}

func (h *Host) endAll(end func(*conn)) {
	h.mu.Lock()
	var conns []*conn
	for c := range h.conns {
		conns = append(conns, c)
	}
	h.life++
	listeners := h.listeners
	h.listeners = map[string]*listener{}
	h.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	for _, c := range conns {
		end(c)
	}
}

// PowerOn lets the host answer again: who still believes in a connection from
// before is told.
func (h *Host) PowerOn() {
	h.mu.Lock()
	h.off = false
	dark := h.dark
	h.dark = nil
	h.mu.Unlock()
	for _, c := range dark {
		c.out.reset(syscall.ECONNRESET)
	}
}

func (h *Host) forget(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	if h.off {
		h.dark = append(h.dark, c)
	}
}

// hold keeps a connection of a process that lives.
func (h *Host) hold(c *conn, life int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life != life {
		return false
	}
	h.conns[c] = true
	return true
}

func (h *Host) nextPort() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.port++
	return 10000 + h.port%50000
}

func (h *Host) isOff() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.off
}

// listener is an open port.
type listener struct {
	host  *Host
	addr  net.Addr
	key   string
	life  int
	queue chan *conn
	once  sync.Once
	stop  chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.stop:
	default:
		select {
		case c := <-l.queue:
			return c, nil
		case <-l.stop:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.stop)
		l.host.mu.Lock()
		if l.host.listeners[l.key] == l {
			delete(l.host.listeners, l.key)
		}
		l.host.mu.Unlock()
		for {
			select {
			case c := <-l.queue:
				c.kill()
			default:
				return
			}
		}
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// handshakeTry is how often a connection is asked for again.
const handshakeTry = time.Second
