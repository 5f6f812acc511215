package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs, and revokes, certificates of a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	made map[string]*big.Int // serial numbers
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir(), made: map[string]*big.Int{}}
	a.cert, a.key = a.sign("ca", &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue makes name.crt and name.key, of whoever has one of the addresses or names.
func (a *authority) issue(name string, ips []net.IP, hosts ...string) {
	a.sign(name, &x509.Certificate{
		IPAddresses: ips, DNSNames: hosts, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) sign(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	a.made[name] = big.NewInt(int64(len(a.made) + 1))
	c.Subject, c.SerialNumber = pkix.Name{CommonName: name}, a.made[name]
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	a.must(err)
	private, err := x509.MarshalECPrivateKey(key)
	a.must(err)
	a.write(name+".crt", &pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.write(name+".key", &pem.Block{Type: "EC PRIVATE KEY", Bytes: private})
	made, err := x509.ParseCertificate(der)
	a.must(err)
	return made, key
}

// revoke writes the list of revoked certificates.
func (a *authority) revoke(names ...string) {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, n := range names {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: a.made[n], RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	a.must(err)
	a.must(os.WriteFile(a.file("crl"), der, 0o600)) // etcd wants it without PEM around it
}

func (a *authority) write(name string, block *pem.Block) {
	a.must(os.WriteFile(a.file(name), pem.EncodeToMemory(block), 0o600))
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// server is the settings of a side that wants certificates of the authority.
func (a *authority) server() Settings {
	return Settings{CertFile: a.file("server.crt"), KeyFile: a.file("server.key"), TrustedCAFile: a.file("ca.crt"), ClientCertAuth: true}
}

func (a *authority) client(name string) *tls.Config {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(a.file(name+".crt"), a.file(name+".key"))
		a.must(err)
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg
}

// serve listens with a side, and says a word to whoever is let in.
func serve(t *testing.T, s Settings, v Versions) (addr string) {
	t.Helper()
	side, err := s.Open(v, t.TempDir(), nil, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := side.Listen(plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, "welcome") // whoever is refused reads an error
			}()
		}
	}()
	return l.Addr().String()
}

// enter connects and reads what is said to those who are let in.
func enter(addr string, cfg *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, cfg)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	_, err = io.ReadFull(conn, make([]byte, len("welcome")))
	return conn.ConnectionState(), err
}

var loopback = []net.IP{net.IPv4(127, 0, 0, 1)}

// Who shows which certificate is let in, by each flag about it.
func TestWhoIsLetIn(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	a.issue("server", loopback)
	a.issue("alice", loopback)
	a.issue("bob", loopback, "bob.test")
	a.issue("elsewhere", []net.IP{net.IPv4(10, 1, 2, 3)})
	a.issue("nowhere", nil)
	other.issue("alice", loopback)
	a.revoke("bob")
	for _, tc := range []struct {
		what    string
		tune    func(*Settings)
		in, out []string // "" comes without a certificate
	}{
		{"a certificate is wanted", func(*Settings) {}, []string{"alice", "bob", "nowhere"}, []string{""}},
		{"none is wanted", func(s *Settings) { s.ClientCertAuth, s.TrustedCAFile = false, "" }, []string{"", "alice"}, nil},
		{"--client-crl-file", func(s *Settings) { s.CRLFile = a.file("crl") }, []string{"alice", "nowhere"}, []string{"bob", ""}},
		{"--peer-cert-allowed-cn", func(s *Settings) { s.AllowedCNs = []string{"alice", "carol"} }, []string{"alice"}, []string{"bob", ""}},
		{"--client-cert-allowed-hostname", func(s *Settings) { s.AllowedHostnames = []string{"bob.test"} }, []string{"bob"}, []string{"alice", ""}},
		{"an address that is not the certificate's", func(*Settings) {}, []string{"alice"}, []string{"elsewhere"}},
		{"--peer-skip-client-san-verification", func(s *Settings) { s.SkipClientSANVerify = true }, []string{"alice", "elsewhere"}, []string{""}},
	} {
		s := a.server()
		tc.tune(&s)
		addr := serve(t, s, Versions{})
		for _, who := range tc.in {
			if _, err := enter(addr, a.client(who)); err != nil {
				t.Errorf("%s: %q is refused: %v", tc.what, who, err)
			}
		}
		for _, who := range tc.out {
			if _, err := enter(addr, a.client(who)); err == nil {
				t.Errorf("%s: %q is let in", tc.what, who)
			}
		}
		stranger := a.client("")
		stranger.Certificates = other.client("alice").Certificates
		if _, err := enter(addr, stranger); s.ClientCertAuth && err == nil {
			t.Errorf("%s: a certificate of another authority is let in", tc.what)
		}
	}
}

// A list of revoked certificates is read again at each connection, as certificates are.
func TestRevocationIsNoticed(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", loopback)
	a.issue("alice", loopback)
	a.revoke()
	s := a.server()
	s.CRLFile = a.file("crl")
	addr := serve(t, s, Versions{})
	if _, err := enter(addr, a.client("alice")); err != nil {
		t.Fatal(err)
	}
	a.revoke("alice")
	if _, err := enter(addr, a.client("alice")); err == nil {
		t.Error("a certificate that was revoked is let in")
	}
}

// --tls-min-version, --tls-max-version and --cipher-suites hold.
func TestVersions(t *testing.T) {
	const strong, weak = tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	a := newAuthority(t)
	a.issue("server", loopback)
	a.issue("alice", loopback)
	for _, tc := range []struct {
		what    string
		serve   Versions
		most    uint16   // that the client can speak; 0: all
		suites  []uint16 // that it offers up to TLS 1.2
		version uint16   // that is spoken; 0: none
		suite   uint16
	}{
		{"nothing is said", Versions{}, 0, nil, tls.VersionTLS13, 0},
		{"at most 1.2", Versions{Max: "TLS1.2"}, 0, nil, tls.VersionTLS12, 0},
		{"at least 1.3", Versions{Min: "TLS1.3"}, 0, nil, tls.VersionTLS13, 0},
		{"at least 1.3, and an old client", Versions{Min: "TLS1.3"}, tls.VersionTLS12, nil, 0, 0},
		{"a suite", Versions{CipherSuites: []string{tls.CipherSuiteName(strong)}, Max: "TLS1.2"}, 0, []uint16{weak, strong}, tls.VersionTLS12, strong},
		{"a suite that the client has not", Versions{CipherSuites: []string{tls.CipherSuiteName(strong)}, Max: "TLS1.2"}, 0, []uint16{weak}, 0, 0},
	} {
		cfg := a.client("alice")
		cfg.MaxVersion, cfg.CipherSuites = tc.most, tc.suites
		state, err := enter(serve(t, a.server(), tc.serve), cfg)
		switch {
		case (err == nil) != (tc.version != 0):
			t.Errorf("%s: %v", tc.what, err)
		case err == nil && (state.Version != tc.version || tc.suite != 0 && state.CipherSuite != tc.suite):
			t.Errorf("%s: %s with %s", tc.what, tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
		}
	}
}

// What cannot be meant is refused at once, in words that name it.
func TestWrongSettings(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", loopback)
	a.issue("alice", loopback)
	a.must(os.WriteFile(a.file("junk"), []byte("junk"), 0o600))
	for _, tc := range []struct {
		want string
		tune func(*Settings, *Versions)
	}{
		{"no such file", func(s *Settings, _ *Versions) { s.CertFile = a.file("none") }},
		{"no such file", func(s *Settings, _ *Versions) { s.TrustedCAFile = a.file("none") }},
		{"private key does not match", func(s *Settings, _ *Versions) { s.KeyFile = a.file("alice.key") }},
		{"failed to find any PEM data", func(s *Settings, _ *Versions) { s.CertFile = a.file("junk") }},
		{"must both be present", func(s *Settings, _ *Versions) { s.KeyFile = "" }},
		{"only one of", func(s *Settings, _ *Versions) { s.AllowedCNs, s.AllowedHostnames = []string{"a"}, []string{"b"} }},
		{`"TLS9"`, func(_ *Settings, v *Versions) { v.Min = "TLS9" }},
		{"greater than", func(_ *Settings, v *Versions) { v.Min, v.Max = "TLS1.3", "TLS1.2" }},
		{"NO_SUCH_SUITE", func(_ *Settings, v *Versions) { v.CipherSuites = []string{"NO_SUCH_SUITE"} }},
		{"only TLS1.3", func(_ *Settings, v *Versions) {
			v.CipherSuites, v.Min = []string{tls.CipherSuiteName(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)}, "TLS1.3"
		}},
	} {
		s, v := a.server(), Versions{}
		tc.tune(&s, &v)
		if _, err := s.Open(v, t.TempDir(), nil, 1, false); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}
