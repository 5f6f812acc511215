package etcdflags

import (
	"time"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/secure"
)

// Where a configuration file keeps the settings of TLS.
const (
	clientTLS = "client-transport-security."
	peerTLS   = "peer-transport-security."
)

func client[T any](at func(*secure.Settings) *T) func(*Settings) *T {
	return func(s *Settings) *T { return at(&s.Node.ClientTLS) }
}

func peer[T any](at func(*secure.Settings) *T) func(*Settings) *T {
	return func(s *Settings) *T { return at(&s.Node.PeerTLS) }
}

func certFile(s *secure.Settings) *string       { return &s.CertFile }
func keyFile(s *secure.Settings) *string        { return &s.KeyFile }
func clientCertFile(s *secure.Settings) *string { return &s.ClientCertFile }
func clientKeyFile(s *secure.Settings) *string  { return &s.ClientKeyFile }
func trustedCA(s *secure.Settings) *string      { return &s.TrustedCAFile }
func crlFile(s *secure.Settings) *string        { return &s.CRLFile }
func certAuth(s *secure.Settings) *bool         { return &s.ClientCertAuth }
func autoTLS(s *secure.Settings) *bool          { return &s.AutoTLS }
func skipSAN(s *secure.Settings) *bool          { return &s.SkipClientSANVerify }
func allowedCNs(s *secure.Settings) *[]string   { return &s.AllowedCNs }
func allowedHosts(s *secure.Settings) *[]string { return &s.AllowedHostnames }

var security = []Flag{
	{Name: "cert-file", Key: clientTLS + "cert-file", Usage: "Certificate of the client side.", Make: text(client(certFile))},
	{Name: "key-file", Key: clientTLS + "key-file", Usage: "Its key.", Make: text(client(keyFile))},
	{Name: "client-cert-auth", Key: clientTLS + "client-cert-auth", Usage: "Only clients with a certificate of the trusted CA.", Make: boolean(client(certAuth))},
	{Name: "client-cert-file", Key: clientTLS + "client-cert-file", Usage: "Certificate of connections to the client side, if it asks for one.", Make: text(client(clientCertFile))},
	{Name: "client-key-file", Key: clientTLS + "client-key-file", Usage: "Its key.", Make: text(client(clientKeyFile))},
	{Name: "client-crl-file", NoKey: true, Usage: "Revoked certificates of clients.", Make: text(client(crlFile))},
	{Name: "client-cert-allowed-hostname", Key: clientTLS + "allowed-hostname", Usage: "Host names that a client's certificate may have.", Make: list(client(allowedHosts))},
	{Name: "trusted-ca-file", Key: clientTLS + "trusted-ca-file", Usage: "CA of clients' certificates.", Make: text(client(trustedCA))},
	{Name: "auto-tls", Key: clientTLS + "auto-tls", Usage: "Make a certificate for the client side.", Make: boolean(client(autoTLS))},
	{Name: "peer-cert-file", Key: peerTLS + "cert-file", Usage: "Certificate of the peer side.", Make: text(peer(certFile))},
	{Name: "peer-key-file", Key: peerTLS + "key-file", Usage: "Its key.", Make: text(peer(keyFile))},
	{Name: "peer-client-cert-auth", Key: peerTLS + "client-cert-auth", Usage: "Only peers with a certificate of the trusted CA.", Make: boolean(peer(certAuth))},
	{Name: "peer-client-cert-file", Key: peerTLS + "client-cert-file", Usage: "Certificate of connections to peers; --peer-cert-file if not set.", Make: text(peer(clientCertFile))},
	{Name: "peer-client-key-file", Key: peerTLS + "client-key-file", Usage: "Its key.", Make: text(peer(clientKeyFile))},
	{Name: "peer-trusted-ca-file", Key: peerTLS + "trusted-ca-file", Usage: "CA of peers' certificates.", Make: text(peer(trustedCA))},
	{Name: "peer-cert-allowed-cn", Key: peerTLS + "allowed-cn", Usage: "Common names that a peer's certificate may have.", Make: list(peer(allowedCNs))},
	{Name: "peer-cert-allowed-hostname", Key: peerTLS + "allowed-hostname", Usage: "Host names that a peer's certificate may have.", Make: list(peer(allowedHosts))},
	{Name: "peer-auto-tls", Key: peerTLS + "auto-tls", Usage: "Make a certificate for the peer side.", Make: boolean(peer(autoTLS))},
	{Name: "self-signed-cert-validity", Usage: "How long certificates made here are good, years.", Make: number(field(func(c *config.Config) *uint { return &c.SelfSignedCertValidity }))},
	{Name: "peer-crl-file", NoKey: true, Usage: "Revoked certificates of peers.", Make: text(peer(crlFile))},
	{Name: "cipher-suites", Usage: "TLS cipher suites of both sides; Go's if not set.", Make: list(field(func(c *config.Config) *[]string { return &c.TLSVersions.CipherSuites }))},
	{Name: "cors", Usage: "Origins that browsers may send requests from.", Make: urls("*")(field(func(c *config.Config) *[]string { return &c.CORS }))},
	{Name: "host-whitelist", Usage: "Hosts that requests over plain HTTP may name.", Make: commaList(field(func(c *config.Config) *[]string { return &c.HostWhitelist }))},
	{Name: "tls-min-version", Usage: "Least TLS version: TLS1.2 or TLS1.3.", Make: text(field(func(c *config.Config) *string { return &c.TLSVersions.Min }))},
	{Name: "tls-max-version", Usage: "Highest TLS version; Go's if not set.", Make: text(field(func(c *config.Config) *string { return &c.TLSVersions.Max }))},
	{Name: "peer-skip-client-san-verification", Key: peerTLS + "skip-client-san-verification", Usage: "Do not check the address of a peer against its certificate.", Make: boolean(peer(skipSAN))},
}

var authentication = []Flag{
	{Name: "auth-token", Usage: "Kind of auth tokens: simple, or jwt with its options.", Make: text(field(func(c *config.Config) *string { return &c.AuthToken }))},
	{Name: "bcrypt-cost", Usage: "Cost of hashing passwords, 4 to 31.", Why: "another cost is refused, where etcd takes 10", Make: number(field(func(c *config.Config) *int { return &c.BcryptCost }))},
	{Name: "auth-token-ttl", Usage: "How long a simple token is good, seconds.", Make: seconds(field(func(c *config.Config) *time.Duration { return &c.AuthTokenTTL }))},
}

// fileOnly are settings that only a configuration file has.
var fileOnly = []Flag{
	{Name: "client-cert-allowed-cn", Key: clientTLS + "allowed-cn", Make: list(client(allowedCNs))},
	{Name: "client-skip-client-san-verification", Key: clientTLS + "skip-client-san-verification", Make: boolean(client(skipSAN))},
}
