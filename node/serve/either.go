package serve

import (
	"errors"
	"net"
	"net/url"
	"sync"
)

// either accepts encrypted connections and plain ones on one port, as etcd does when an
// address is listed with both schemes. Which one a connection is shows in its first byte,
// so it is asked for when the connection is first read, never in Accept.
type either struct {
	net.Listener

	mu      sync.Mutex // held over a hand-over: what was given is what comes back
	given   net.Conn
	encrypt net.Listener // over the hand-over
}

// handOver is the listener below the encryption.
type handOver struct {
	net.Listener
	e *either
}

// Accept implements net.Listener.
func (h handOver) Accept() (net.Conn, error) { return h.e.given, nil }

func newEither(l net.Listener, enc Encrypter) (net.Listener, error) {
	e := &either{Listener: l}
	var err error
	if e.encrypt, err = enc.Listen(handOver{l, e}); err != nil {
		return nil, err
	}
	return e, nil
}

// Accept implements net.Listener.
func (e *either) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &eitherConn{Conn: c, from: e}, nil
}

func (e *either) secure(c net.Conn) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.given = c
	defer func() { e.given = nil }()
	return e.encrypt.Accept()
}

// tlsRecord is the first byte of a TLS connection, and of no HTTP one.
const tlsRecord = 0x16

// eitherConn becomes plain or encrypted at its first read. Nobody writes before that:
// on these ports the client speaks first.
type eitherConn struct {
	net.Conn // what came in
	from     *either

	once sync.Once
	err  error

	mu      sync.Mutex
	decided net.Conn // nil before
}

func (c *eitherConn) decide() {
	first := make([]byte, 1)
	if _, c.err = c.Conn.Read(first); c.err != nil {
		return
	}
	var inner net.Conn = &prefixed{Conn: c.Conn, first: first}
	if first[0] == tlsRecord {
		if inner, c.err = c.from.secure(inner); c.err != nil {
			return
		}
	}
	c.mu.Lock()
	c.decided = inner
	c.mu.Unlock()
}

// inner is the connection that was decided on, nil before.
func (c *eitherConn) inner() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.decided
}

// Read implements net.Conn.
func (c *eitherConn) Read(p []byte) (int, error) {
	c.once.Do(c.decide)
	if c.err != nil {
		return 0, c.err
	}
	return c.inner().Read(p)
}

var errWroteFirst = errors.New("serve: written to before the client spoke")

// Write implements net.Conn.
func (c *eitherConn) Write(p []byte) (int, error) {
	if inner := c.inner(); inner != nil {
		return inner.Write(p)
	}
	return 0, errWroteFirst
}

// Close implements net.Conn.
func (c *eitherConn) Close() error {
	if inner := c.inner(); inner != nil {
		return inner.Close()
	}
	return c.Conn.Close()
}

// prefixed gives back what was read ahead.
type prefixed struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 && len(b) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// twin finds the URL in the list that is u with the other scheme.
func twin(raw string, urls []string) (at int, found bool) {
	u, err := url.Parse(raw)
	if err != nil {
		return 0, false
	}
	other := map[string]string{"http": "https", "https": "http"}[u.Scheme]
	for i, candidate := range urls {
		if c, err := url.Parse(candidate); err == nil && other != "" && c.Scheme == other && c.Host == u.Host && u.Port() != "0" {
			return i, true
		}
	}
	return 0, false
}
