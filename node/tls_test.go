package node_test

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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/secure"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign writes name.pem and name-key.pem.
func (a *authority) sign(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(a.next), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+"-key.pem", "EC PRIVATE KEY", private)
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

func (a *authority) write(name, kind string, der []byte) {
	if err := os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) issue(cn string) {
	a.sign(cn, &x509.Certificate{
		Subject: pkix.Name{CommonName: cn}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// client is the TLS configuration of a client with a certificate, none if cn
// is empty.
func (a *authority) client(cn string) *tls.Config {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: pool}
	if cn != "" {
		pair, err := tls.LoadX509KeyPair(a.file(cn+".pem"), a.file(cn+"-key.pem"))
		if err != nil {
			a.t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg
}

// encrypt turns a node's configuration to TLS on both sides.
func (a *authority) encrypt(cfg *config.Config) {
	for _, urls := range [][]string{cfg.ListenClientURLs, cfg.AdvertiseClientURLs, cfg.ListenPeerURLs, cfg.AdvertisePeerURLs} {
		for i := range urls {
			urls[i] = strings.Replace(urls[i], "http://", "https://", 1)
		}
	}
	cfg.InitialCluster = strings.ReplaceAll(cfg.InitialCluster, "http://", "https://")
	side := secure.Settings{
		CertFile: a.file("server.pem"), KeyFile: a.file("server-key.pem"), TrustedCAFile: a.file("ca.pem"), ClientCertAuth: true,
	}
	cfg.ClientTLS, cfg.PeerTLS = side, side
	cfg.PeerTLS.AllowedCNs = []string{"server"}
	cfg.BcryptCost = 4
}

// A cluster whose clients and peers show certificates: who has none is
// refused, a client's common name is its user, certificates rotate.
func TestTLS(t *testing.T) {
	a := newAuthority(t)
	for _, cn := range []string{"server", "root", "stranger"} {
		a.issue(cn)
	}
	c := layOut(t, 3, func(_ int, cfg *config.Config) { a.encrypt(cfg) })
	for _, nd := range c.nodes {
		nd.conn.Close()
		conn, err := grpc.NewClient("passthrough:///"+nd.addr, grpc.WithTransportCredentials(credentials.NewTLS(a.client("root"))))
		if err != nil {
			t.Fatal(err)
		}
		nd.conn = conn
		nd.http = &http.Client{Transport: &http.Transport{TLSClientConfig: a.client("root"), ForceAttemptHTTP2: true}}
	}
	c.start()
	ctx := within(t, 30*time.Second)
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{"https://" + c.nodes[1].addr}, TLS: a.client("root"), Logger: zap.NewNop(), Context: ctx})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	if _, err := cli.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	t.Run("HTTP", func(t *testing.T) {
		for _, v2 := range []bool{true, false} { // of what the client could speak
			h := &http.Client{Transport: &http.Transport{TLSClientConfig: a.client("root"), ForceAttemptHTTP2: v2}}
			resp, err := h.Post("https://"+c.nodes[2].addr+"/v3/kv/range", "application/json", strings.NewReader(`{"key":"aw=="}`))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || !strings.Contains(string(body), `"value":"dg=="`) {
				t.Errorf("HTTP %d: %d %s", resp.ProtoMajor, resp.StatusCode, body)
			}
		}
	})
	t.Run("no certificate, no service", func(t *testing.T) {
		conn, err := tls.Dial("tcp", c.nodes[0].addr, a.client(""))
		if err == nil {
			_, err = conn.Read(make([]byte, 1)) // with TLS 1.3 the refusal comes later
		}
		if err == nil {
			t.Error("a client without a certificate is served")
		}
		peer := strings.TrimPrefix(c.nodes[0].cfg.ListenPeerURLs[0], "https://")
		conn, err = tls.Dial("tcp", peer, a.client("stranger"))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		if err == nil {
			t.Error("a peer of another name is served")
		}
	})
	t.Run("certificates rotate", func(t *testing.T) {
		before := serial(t, c.nodes[0].addr, a.client("root"))
		a.issue("server")
		if after := serial(t, c.nodes[0].addr, a.client("root")); after.Cmp(before) == 0 {
			t.Error("a new certificate was not taken")
		}
	})
	t.Run("a common name is a user", func(t *testing.T) {
		auth := pb.NewAuthClient(c.nodes[0].conn)
		for _, step := range []func() error{
			func() error {
				_, err := auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Options: noPassword()})
				return err
			},
			func() error { _, err := auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "root"}); return err },
			func() error {
				_, err := auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
				return err
			},
			func() error { _, err := auth.AuthEnable(ctx, &pb.AuthEnableRequest{}); return err },
			func() error { _, err := cli.Put(ctx, "k", "by root"); return err },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		other, err := grpc.NewClient("passthrough:///"+c.nodes[0].addr, grpc.WithTransportCredentials(credentials.NewTLS(a.client("stranger"))))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, err := pb.NewKVClient(other).Put(ctx, &pb.PutRequest{Key: []byte("k")}); err == nil {
			t.Error("a name that is no user may write")
		}
		resp, err := c.nodes[0].http.Post("https://"+c.nodes[0].addr+"/v3/kv/range", "application/json", strings.NewReader(`{"key":"aw=="}`))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 400 || !strings.Contains(string(body), "CommonName of client") { // as in etcd
			t.Errorf("the gateway says %d %s to a caller with a certificate", resp.StatusCode, body)
		}
	})
}

func serial(t *testing.T, addr string, cfg *tls.Config) *big.Int {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// Certificates made by the nodes themselves, for clients and peers.
func TestAutoTLS(t *testing.T) {
	a := newAuthority(t)
	c := layOut(t, 3, func(_ int, cfg *config.Config) {
		a.encrypt(cfg)
		cfg.ClientTLS, cfg.PeerTLS = secure.Settings{AutoTLS: true}, secure.Settings{AutoTLS: true}
	})
	trusting := &tls.Config{InsecureSkipVerify: true}
	for _, nd := range c.nodes {
		nd.conn.Close()
		conn, err := grpc.NewClient("passthrough:///"+nd.addr, grpc.WithTransportCredentials(credentials.NewTLS(trusting)))
		if err != nil {
			t.Fatal(err)
		}
		nd.conn, nd.http = conn, &http.Client{Transport: &http.Transport{TLSClientConfig: trusting}}
	}
	c.start()
	if _, err := pb.NewKVClient(c.nodes[2].conn).Put(within(t, 10*time.Second), &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Fatal(err)
	}
}

func noPassword() *authpb.UserAddOptions { return &authpb.UserAddOptions{NoPassword: true} }
