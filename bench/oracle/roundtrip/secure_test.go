package roundtrip

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// authority signs certificates of one test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue makes a certificate for both ends of a connection.
func (a *authority) issue(name string) {
	a.t.Helper()
	a.sign(name, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) sign(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	c.Subject, c.SerialNumber = pkix.Name{CommonName: name}, big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	a.must(err)
	private, err := x509.MarshalECPrivateKey(key)
	a.must(err)
	for file, block := range map[string]*pem.Block{
		a.certFile(name): {Type: "CERTIFICATE", Bytes: der}, a.keyFile(name): {Type: "EC PRIVATE KEY", Bytes: private},
	} {
		a.must(os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	made, err := x509.ParseCertificate(der)
	a.must(err)
	return made, key
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) certFile(name string) string { return filepath.Join(a.dir, name+".crt") }
func (a *authority) keyFile(name string) string  { return filepath.Join(a.dir, name+".key") }

func (a *authority) client(name string) *tls.Config {
	a.t.Helper()
	info := transport.TLSInfo{CertFile: a.certFile(name), KeyFile: a.keyFile(name), TrustedCAFile: a.certFile("ca"), Logger: zap.NewNop()}
	cfg, err := info.ClientConfig()
	a.must(err)
	return cfg
}

// startSecure starts an etcd that serves clients with a certificate only, and returns its
// endpoint and a client of it.
func startSecure(t *testing.T, a *authority) (endpoint string, cli *clientv3.Client) {
	t.Helper()
	a.issue("server")
	a.issue("admin")
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	urlOf := func(scheme string) url.URL { return url.URL{Scheme: scheme, Host: freeAddress(t)} }
	client, peer := urlOf("https"), urlOf("http")
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ClientTLSInfo = transport.TLSInfo{
		CertFile: a.certFile("server"), KeyFile: a.keyFile("server"), TrustedCAFile: a.certFile("ca"), ClientCertAuth: true,
	}
	cfg.UnsafeNoFsync, cfg.BcryptCost = true, 4
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	server, err := embed.StartEtcd(cfg)
	a.must(err)
	t.Cleanup(server.Close)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		t.Fatal("etcd is not ready")
	}
	return client.String(), a.login(client.String(), "", "")
}

// login connects with the certificate of the administrator, as a user if there is a name.
func (a *authority) login(endpoint, user, password string) *clientv3.Client {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	a.t.Cleanup(cancel)
	cli, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, TLS: a.client("admin"), Username: user, Password: password, Logger: zap.NewNop(), Context: ctx,
	})
	a.must(err)
	a.t.Cleanup(func() { cli.Close() })
	return cli
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
