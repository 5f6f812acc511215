// Package secure is TLS as etcd does it, by etcd's own transport package:
// certificates are read again at every handshake, so they rotate without a
// restart; clients may be asked for a certificate, with common names, host names
// and revocation lists to check.
//
//	flags --Settings--> Open --> Side --Listen--> encrypted listener
//	                                  \--Credentials--> connections to other nodes
package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"go.etcd.io/etcd/client/pkg/v3/tlsutil"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.uber.org/zap"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Settings are the flags of one side: clients, or peers.
type Settings struct {
	CertFile, KeyFile             string
	ClientCertFile, ClientKeyFile string // of connections this node opens; default: the above
	TrustedCAFile, CRLFile        string
	ClientCertAuth                bool // whoever connects must have a certificate of the trusted CA
	AutoTLS                       bool // make a certificate of one's own
	SkipClientSANVerify           bool
	AllowedCNs, AllowedHostnames  []string // of who connects
}

// Versions are what both sides may speak.
type Versions struct {
	CipherSuites []string
	Min, Max     string // "TLS1.2", "TLS1.3"; empty: Go's choice
}

// Side encrypts one side. Nil: it is not encrypted.
type Side struct {
	info     transport.TLSInfo
	rejected func(*tls.Conn, error)
}

// Report has connections that are refused logged, of a side that is called so.
func (s *Side) Report(log *slog.Logger, side string) {
	if s != nil {
		s.rejected = reject(log, "rejected connection on "+side+" endpoint")
	}
}

// Open checks the settings of a side. dir and hosts are for a certificate of
// one's own, which is good for so many years. peer says that this node opens
// connections with it, too.
func (s Settings) Open(v Versions, dir string, hosts []string, years uint, peer bool) (*Side, error) {
	info := transport.TLSInfo{
		CertFile: s.CertFile, KeyFile: s.KeyFile, ClientCertFile: s.ClientCertFile, ClientKeyFile: s.ClientKeyFile,
		TrustedCAFile: s.TrustedCAFile, ClientCertAuth: s.ClientCertAuth, CRLFile: s.CRLFile,
		SkipClientSANVerify: s.SkipClientSANVerify, AllowedCNs: s.AllowedCNs, AllowedHostnames: s.AllowedHostnames,
		Logger: zap.NewNop(),
	}
	if len(s.AllowedCNs) > 0 && len(s.AllowedHostnames) > 0 {
		return nil, errors.New("only one of the allowed CN and the allowed host name can be set")
	}
	if info.Empty() {
		if !s.AutoTLS {
			return nil, nil
		}
		var usages []x509.ExtKeyUsage
		if peer {
			usages = append(usages, x509.ExtKeyUsageClientAuth)
		}
		made, err := transport.SelfCert(zap.NewNop(), dir, hosts, years, usages...)
		if err != nil {
			return nil, fmt.Errorf("certificate of one's own: %w", err)
		}
		info = made
	}
	if err := v.apply(&info); err != nil {
		return nil, err
	}
	if _, err := info.ServerConfig(); err != nil { // say now what would fail at the first connection
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return &Side{info: info, rejected: func(*tls.Conn, error) {}}, nil
}

func (v Versions) apply(info *transport.TLSInfo) (err error) {
	if info.MinVersion, err = tlsutil.GetTLSVersion(v.Min); err != nil {
		return err
	}
	if info.MaxVersion, err = tlsutil.GetTLSVersion(v.Max); err != nil {
		return err
	}
	if info.MaxVersion != 0 && info.MinVersion > info.MaxVersion {
		return fmt.Errorf("min version (%s) is greater than max version (%s)", v.Min, v.Max)
	}
	if len(v.CipherSuites) == 0 {
		return nil
	}
	if info.MinVersion == tls.VersionTLS13 {
		return errors.New("cipher suites cannot be configured when only TLS1.3 is enabled")
	}
	info.CipherSuites, err = tlsutil.GetCipherSuites(v.CipherSuites)
	return err
}

// Listen encrypts a listener. A connection shakes hands when it is first used.
//
// One port serves gRPC and plain HTTP, and only gRPC over HTTP/2: clients that
// could speak HTTP/1.1 as well are no gRPC clients, so that is what they get.
func (s *Side) Listen(l net.Listener) (net.Listener, error) {
	base, err := s.info.ServerConfig()
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	s.info.ConfigureCRLVerification(base)
	verify := base.VerifyConnection
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		cfg := base.Clone()
		cfg.GetConfigForClient = nil
		if slices.Contains(hello.SupportedProtos, "http/1.1") {
			cfg.NextProtos = []string{"http/1.1"}
		}
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			if verify != nil {
				if err := verify(state); err != nil {
					return err
				}
			}
			if s.info.SkipClientSANVerify || len(state.PeerCertificates) == 0 {
				return nil
			}
			return checkAddress(hello.Context(), state.PeerCertificates[0], hello.Conn.RemoteAddr().String())
		}
		return cfg, nil
	}
	return &listener{tls.NewListener(l, base), s.rejected}, nil
}

// ClientCertAuth reports whether clients are known by certificates.
func (s *Side) ClientCertAuth() bool { return s != nil && s.info.ClientCertAuth }

// Credentials are for connections to nodes whose side is like this one; plain
// ones for nil.
func (s *Side) Credentials() (credentials.TransportCredentials, error) {
	if s == nil {
		return insecure.NewCredentials(), nil
	}
	cfg, err := s.info.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return credentials.NewTLS(cfg), nil
}
