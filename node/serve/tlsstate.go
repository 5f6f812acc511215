package serve

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

// tlsKey finds the encrypted connection of a request.
type tlsKey struct{}

// withTLS remembers the connection below the wrappers of this package, which
// keep package http from seeing that it is encrypted.
func withTLS(ctx context.Context, c net.Conn) context.Context {
	for inner := c; inner != nil; inner = Unwrap(inner) {
		if t, ok := inner.(*tls.Conn); ok {
			return context.WithValue(ctx, tlsKey{}, t)
		}
	}
	return ctx
}

// TLSState returns the state of the connection of a request to a server here,
// nil if it is not encrypted.
func TLSState(r *http.Request) *tls.ConnectionState {
	c, ok := r.Context().Value(tlsKey{}).(*tls.Conn)
	if !ok {
		return nil
	}
	state := c.ConnectionState()
	return &state
}
