//go:build standin

package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/testutil"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	epb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	lockpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	framecfg "go.etcd.io/etcd/tests/v3/framework/config"
	"go.etcd.io/etcd/tests/v3/framework/testutils"
	"go.uber.org/zap"
)

// GRPCAPI is the services of one connection.
type GRPCAPI struct {
	Cluster     pb.ClusterClient
	KV          pb.KVClient
	Lease       pb.LeaseClient
	Watch       pb.WatchClient
	Maintenance pb.MaintenanceClient
	Auth        pb.AuthClient
	Lock        lockpb.LockClient
	Election    epb.ElectionClient
}

// Certificates that come with etcd's tests.
var (
	TestTLSInfo   = certificates("../fixtures/server")
	TestTLSInfoIP = certificates("../fixtures/server-ip")

	TestTLSInfoExpired   = certificates("./fixtures-expired/server")
	TestTLSInfoExpiredIP = certificates("./fixtures-expired/server-ip")

	DefaultTokenJWT = fmt.Sprintf("jwt,pub-key=%s,priv-key=%s,sign-method=RS256,ttl=2s",
		testutils.MustAbsPath("../fixtures/server.crt"), testutils.MustAbsPath("../fixtures/server.key.insecure"))
)

func certificates(path string) transport.TLSInfo {
	dir := path[:strings.LastIndex(path, "/")]
	return transport.TLSInfo{
		KeyFile: testutils.MustAbsPath(path + ".key.insecure"), CertFile: testutils.MustAbsPath(path + ".crt"),
		TrustedCAFile: testutils.MustAbsPath(dir + "/ca.crt"), ClientCertAuth: true,
	}
}

// NewClientV3 is a client of a member.
func NewClientV3(m *Member) (*clientv3.Client, error) { return m.newClient(m.GRPCURL) }

func (m *Member) newClient(endpoint string) (*clientv3.Client, error) {
	cfg := clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(), DialOptions: m.DialOptions,
		MaxCallSendMsgSize: m.of.Cfg.ClientMaxCallSendMsgSize, MaxCallRecvMsgSize: m.of.Cfg.ClientMaxCallRecvMsgSize,
	}
	if m.ClientTLSInfo != nil {
		tls, err := m.ClientTLSInfo.ClientConfig()
		if err != nil {
			return nil, err
		}
		cfg.TLS = tls
	}
	return newClientV3(cfg)
}

// answered reports whether the cluster let somebody in, or refused them as itself.
func answered(err error) bool {
	return err == nil || err == rpctypes.ErrUserEmpty || err == rpctypes.ErrPermissionDenied
}

// ClusterClient is a client of all members, for as long as the test lasts.
func (c *Cluster) ClusterClient(tb testing.TB, opts ...framecfg.ClientOption) (*clientv3.Client, error) {
	cfg := &clientv3.Config{Endpoints: c.Endpoints(), DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
	if c.Cfg.ClientTLS != nil {
		tls, err := c.Cfg.ClientTLS.ClientConfig()
		if err != nil {
			return nil, err
		}
		cfg.TLS = tls
	}
	for _, opt := range opts {
		opt(cfg)
	}
	cli, err := newClientV3(*cfg)
	if err != nil {
		return nil, err
	}
	tb.Cleanup(func() { cli.Close() })
	return cli, nil
}

// WithAuth has a client log in.
func WithAuth(name, password string) framecfg.ClientOption {
	return func(c any) { cfg := c.(*clientv3.Config); cfg.Username, cfg.Password = name, password }
}

// WithAuthToken has a client come with a token.
func WithAuthToken(token string) framecfg.ClientOption {
	return func(c any) { c.(*clientv3.Config).Token = token }
}

// WithEndpoints has a client know some members only.
func WithEndpoints(endpoints []string) framecfg.ClientOption {
	return func(c any) { c.(*clientv3.Config).Endpoints = endpoints }
}

// MakeSingleNodeClients makes clients of the first member, and keeps them in a list.
func MakeSingleNodeClients(t testutil.TB, c *Cluster, list *[]*clientv3.Client) func() *clientv3.Client {
	return c.maker(t, list, func() int { return 0 })
}

// MakeMultiNodeClients makes clients of any members, and keeps them in a list.
func MakeMultiNodeClients(t testutil.TB, c *Cluster, list *[]*clientv3.Client) func() *clientv3.Client {
	return c.maker(t, list, func() int { return rand.Intn(len(c.Members)) })
}

func (c *Cluster) maker(t testutil.TB, list *[]*clientv3.Client, which func() int) func() *clientv3.Client {
	var mu sync.Mutex
	*list = nil
	return func() *clientv3.Client {
		cli, err := c.NewClientV3(which())
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		*list = append(*list, cli)
		return cli
	}
}

// CloseClients closes all of a list.
func CloseClients(t testutil.TB, list []*clientv3.Client) {
	for _, cli := range list {
		if err := cli.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// WaitClientV3 waits for a client to be answered.
func WaitClientV3(t testutil.TB, kv clientv3.KV) { WaitClientV3WithKey(t, kv, "/") }

// WaitClientV3WithKey is the same for who may read one key only.
func WaitClientV3WithKey(t testutil.TB, kv clientv3.KV, key string) {
	ctx, cancel := context.WithTimeout(context.Background(), RequestTimeout)
	defer cancel()
	for {
		_, err := kv.Get(ctx, key)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the client is not answered: %v", err)
		case <-time.After(pollEvery):
		}
	}
}

// series is the value of the first line that begins with a name and has all labels.
func series(text io.Reader, name string, labels []string) (string, error) {
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, name) && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(line, l) }) {
			return strings.Split(line, " ")[1], nil
		}
	}
	return "", lines.Err()
}

// Ports are from a span that no system takes for outgoing connections: a member that
// restarts needs the same one again.
const firstPort, lastPort = 21000, 31000

func freePorts(t testutil.TB, n int) (ports []int) {
	t.Helper()
	for tries := 0; len(ports) < n; tries++ {
		port := firstPort + rand.Intn(lastPort-firstPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if tries > 1000 {
				t.Fatal(err)
			}
			continue
		}
		defer l.Close() // all stay open until every port is chosen
		ports = append(ports, port)
	}
	return ports
}
