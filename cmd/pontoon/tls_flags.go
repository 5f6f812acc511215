package main

import (
	"github.com/spf13/pflag"

	"github.com/pontoon-kv/pontoon/node/config"
)

// tlsFlags are etcd's, for clients and for peers.
func tlsFlags(f *pflag.FlagSet, cfg *config.Config) {
	c, p := &cfg.ClientTLS, &cfg.PeerTLS
	f.StringVar(&c.CertFile, "cert-file", "", "certificate of the client side")
	f.StringVar(&c.KeyFile, "key-file", "", "its key")
	f.StringVar(&c.ClientCertFile, "client-cert-file", "", "certificate for connections to the client side, if client-cert-auth asks for one")
	f.StringVar(&c.ClientKeyFile, "client-key-file", "", "its key")
	f.BoolVar(&c.ClientCertAuth, "client-cert-auth", false, "only clients with a certificate of the trusted CA")
	f.StringVar(&c.CRLFile, "client-crl-file", "", "revoked certificates of clients")
	f.StringSliceVar(&c.AllowedHostnames, "client-cert-allowed-hostname", nil, "host names that a client's certificate may have")
	f.StringVar(&c.TrustedCAFile, "trusted-ca-file", "", "CA of clients' certificates")
	f.BoolVar(&c.AutoTLS, "auto-tls", false, "make a certificate for the client side")
	f.StringVar(&p.CertFile, "peer-cert-file", "", "certificate of the peer side")
	f.StringVar(&p.KeyFile, "peer-key-file", "", "its key")
	f.StringVar(&p.ClientCertFile, "peer-client-cert-file", "", "certificate for connections to peers; default: peer-cert-file")
	f.StringVar(&p.ClientKeyFile, "peer-client-key-file", "", "its key")
	f.BoolVar(&p.ClientCertAuth, "peer-client-cert-auth", false, "only peers with a certificate of the trusted CA")
	f.StringVar(&p.TrustedCAFile, "peer-trusted-ca-file", "", "CA of peers' certificates")
	f.BoolVar(&p.AutoTLS, "peer-auto-tls", false, "make a certificate for the peer side")
	f.StringVar(&p.CRLFile, "peer-crl-file", "", "revoked certificates of peers")
	f.StringSliceVar(&p.AllowedCNs, "peer-cert-allowed-cn", nil, "common names that a peer's certificate may have")
	f.StringSliceVar(&p.AllowedHostnames, "peer-cert-allowed-hostname", nil, "host names that a peer's certificate may have")
	f.BoolVar(&p.SkipClientSANVerify, "peer-skip-client-san-verification", false, "do not check the address of a peer against its certificate")
	f.UintVar(&cfg.SelfSignedCertValidity, "self-signed-cert-validity", cfg.SelfSignedCertValidity, "how long certificates made here are good, years")
	f.StringSliceVar(&cfg.TLSVersions.CipherSuites, "cipher-suites", nil, "TLS cipher suites of both sides; default: Go's")
	f.StringVar(&cfg.TLSVersions.Min, "tls-min-version", "", "least TLS version: TLS1.2 or TLS1.3")
	f.StringVar(&cfg.TLSVersions.Max, "tls-max-version", "", "highest TLS version; empty: Go's")
}
