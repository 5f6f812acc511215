package secure

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"
)

// Accepted are the credentials of a gRPC server behind listeners that do the
// handshake themselves, or need none: they tell the handlers what certificate
// the client showed.
//
// unwrap returns the connection below a wrapper, nil if there is none.
func Accepted(unwrap func(net.Conn) net.Conn) credentials.TransportCredentials {
	return accepted{unwrap}
}

type accepted struct{ unwrap func(net.Conn) net.Conn }

// ServerHandshake implements credentials.TransportCredentials.
func (a accepted) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	for inner := c; inner != nil; inner = a.unwrap(inner) {
		if t, ok := inner.(*Conn); ok {
			// Where gRPC has the port to itself nobody has read yet.
			if err := t.shake(context.Background()); err != nil {
				return nil, nil, err
			}
			return c, credentials.TLSInfo{
				State:          t.ConnectionState(),
				CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
			}, nil
		}
	}
	return c, nil, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (accepted) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	panic("secure: the credentials of a server open no connections")
}

// Info implements credentials.TransportCredentials.
func (accepted) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (a accepted) Clone() credentials.TransportCredentials { return a }

// OverrideServerName implements credentials.TransportCredentials.
func (accepted) OverrideServerName(string) error { return nil }
