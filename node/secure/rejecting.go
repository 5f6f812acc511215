package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
)

// Conn is an encrypted connection that was accepted. It shakes hands when it is first
// read or written, never in Accept: whoever says nothing holds up nobody else.
type Conn struct {
	*tls.Conn
	rejected func(*tls.Conn, error)
	once     sync.Once
}

// shake shakes hands if that is still to be done, and says once that it failed.
func (c *Conn) shake(ctx context.Context) error {
	err := c.HandshakeContext(ctx)
	if err != nil {
		c.once.Do(func() { c.rejected(c.Conn, err) })
	}
	return err
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.shake(context.Background()); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.shake(context.Background()); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// TLS is the connection that encrypts.
func (c *Conn) TLS() *tls.Conn { return c.Conn }

// listener accepts such connections.
type listener struct {
	net.Listener // of package tls
	rejected     func(*tls.Conn, error)
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c.(*tls.Conn), rejected: l.rejected}, nil
}

// reject logs connections that were refused, with etcd's text and fields. One that ended
// before it said anything is a probe of the port, or our own stop: that is no warning.
func reject(log *slog.Logger, text string) func(*tls.Conn, error) {
	return func(c *tls.Conn, err error) {
		level := slog.LevelWarn
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			level = slog.LevelDebug
		}
		state := c.ConnectionState()
		attrs := []slog.Attr{
			slog.String("remote-addr", c.RemoteAddr().String()), slog.String("server-name", state.ServerName),
		}
		if len(state.PeerCertificates) > 0 {
			cert := state.PeerCertificates[0]
			ips := make([]string, len(cert.IPAddresses))
			for i, ip := range cert.IPAddresses {
				ips[i] = ip.String()
			}
			attrs = append(attrs, slog.Any("ip-addresses", ips), slog.Any("dns-names", cert.DNSNames))
		}
		log.LogAttrs(context.Background(), level, text, append(attrs, slog.String("error", err.Error()))...)
	}
}
