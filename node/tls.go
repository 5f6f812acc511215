package node

import (
	"fmt"
	"path/filepath"
	"slices"

	"google.golang.org/grpc/credentials"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/secure"
	"github.com/pontoon-kv/pontoon/node/serve"
)

// secure opens both sides' TLS before any port is.
func (n *Node) secure() (err error) {
	if n.clientTLS, err = n.cfg.ClientTLS.Open(n.cfg.TLSVersions, filepath.Join(fixtures(&n.cfg), "client"),
		hosts(slices.Concat(n.cfg.ListenClientURLs, n.cfg.ListenClientHTTPURLs)), n.cfg.SelfSignedCertValidity, false); err != nil {
		return fmt.Errorf("clients: %w", err)
	}
	if n.peerTLS, n.peerCreds, err = peerSide(&n.cfg); err != nil {
		return err
	}
	n.clientTLS.Report(n.cfg.Logger, "client")
	n.peerTLS.Report(n.cfg.Logger, "peer")
	return nil
}

// peerSide opens what both the peer listeners and the connections to other
// nodes speak.
func peerSide(cfg *config.Config) (*secure.Side, credentials.TransportCredentials, error) {
	side, err := cfg.PeerTLS.Open(cfg.TLSVersions, filepath.Join(fixtures(cfg), "peer"),
		hosts(cfg.ListenPeerURLs), cfg.SelfSignedCertValidity, true)
	if err != nil {
		return nil, nil, fmt.Errorf("peers: %w", err)
	}
	creds, err := side.Credentials()
	if err != nil {
		return nil, nil, fmt.Errorf("peers: %w", err)
	}
	return side, creds, nil
}

// fixtures is where certificates of one's own are kept, as in etcd.
func fixtures(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "fixtures") }

// encrypter is nil itself where there is no TLS.
func encrypter(s *secure.Side) serve.Encrypter {
	if s == nil {
		return nil
	}
	return s
}
