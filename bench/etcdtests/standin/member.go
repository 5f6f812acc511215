//go:build standin

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/testutil"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// serverEnv names the binary that members are processes of.
const serverEnv = "STANDIN_SERVER"

const (
	electionTimeout = 100 * time.Millisecond // as in etcd's package: tests count on it
	heartbeat       = 10 * time.Millisecond
	startLimit      = 60 * time.Second
	stopLimit       = 20 * time.Second
	logShown        = 4000 // bytes
	portsEach       = 3    // of a member: for clients, for peers, and of the bridge
)

// Member is a process, running or not, and a client of it.
type Member struct {
	Name      string
	DataDir   string
	GRPCURL   string
	PeerURLs  types.URLs
	Client    *clientv3.Client
	IsLearner bool

	// ServerClient would be a client inside the server's process; tests only replace it.
	ServerClient *clientv3.Client

	ClientTLSInfo, PeerTLSInfo *transport.TLSInfo
	DialOptions                []grpc.DialOption
	QuotaBackendBytes          int64
	MaxRequestBytes            uint
	ElectionTicks              int

	of         *Cluster
	addr, peer string // host:port that the process listens at
	GRPCBridge *bridge
	initial    string // --initial-cluster
	state      string // --initial-cluster-state
	cmd        *exec.Cmd
	ended      chan struct{}
	logs       string
}

func newMember(c *Cluster, i int, ports []int) *Member {
	name := fmt.Sprintf("m%d", i)
	host := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	m := &Member{
		Name: name, DataDir: filepath.Join(c.dir, name), logs: filepath.Join(c.dir, name+".log"), of: c, state: "new",
		addr: host(ports[0]), peer: host(ports[1]), GRPCURL: scheme(c.Cfg.ClientTLS) + host(ports[0]),
		ClientTLSInfo: c.Cfg.ClientTLS, PeerTLSInfo: c.Cfg.PeerTLS,
		QuotaBackendBytes: c.Cfg.QuotaBackendBytes, MaxRequestBytes: c.Cfg.MaxRequestBytes, ElectionTicks: ElectionTicks,
	}
	m.PeerURLs = types.MustNewURLs([]string{m.peerURL()})
	if c.Cfg.UseBridge {
		m.GRPCURL = scheme(c.Cfg.ClientTLS) + host(ports[2])
	}
	return m
}

func scheme(tls *transport.TLSInfo) string {
	if tls == nil {
		return "http://"
	}
	return "https://"
}

func (m *Member) peerURL() string { return scheme(m.PeerTLSInfo) + m.peer }

// Dial is how the bridge reaches the process.
func (m *Member) Dial() (net.Conn, error) { return net.Dial("tcp", m.addr) }

// Bridge is what stands between clients and the process.
func (m *Member) Bridge() Bridge { return m.GRPCBridge }

// awaitServing waits until the member answers a read, of a quorum or of itself.
func (m *Member) awaitServing(quorum bool) error {
	cli, err := m.newClient(scheme(m.ClientTLSInfo) + m.addr)
	if err != nil {
		return err
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	var opts []clientv3.OpOption
	if !quorum {
		opts = append(opts, clientv3.WithSerializable())
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		_, err := cli.Get(attempt, "/", opts...)
		cancel()
		if answered(err) {
			return nil
		}
		select {
		case <-m.ended:
			return errors.New("the process ended")
		case <-ctx.Done():
			return fmt.Errorf("does not serve: %w", err)
		case <-time.After(pollEvery):
		}
	}
}

// WaitStarted waits for the member to answer with what it has.
func (m *Member) WaitStarted(t testutil.TB) {
	if err := m.awaitServing(false); err != nil {
		t.Fatal(err)
	}
}

// WaitOK waits for the member to have a quorum.
func (m *Member) WaitOK(t testutil.TB) {
	if err := m.awaitServing(true); err != nil {
		t.Fatal(err)
	}
}

// ID is the member's.
func (m *Member) ID() types.ID {
	ctx, cancel := context.WithTimeout(context.Background(), RequestTimeout)
	defer cancel()
	st, err := m.status(ctx)
	if err != nil {
		panic(fmt.Sprintf("%s does not tell its id: %v", m.Name, err)) // as etcd's, this returns no error
	}
	return types.ID(st.Header.MemberId)
}

func (m *Member) status(ctx context.Context) (*clientv3.StatusResponse, error) {
	cli, err := m.newClient(scheme(m.ClientTLSInfo) + m.addr)
	if err != nil {
		return nil, err
	}
	defer cli.Close()
	return cli.Status(ctx, cli.Endpoints()[0])
}

// URL is where plain HTTP is served.
func (m *Member) URL() string { return scheme(m.ClientTLSInfo) + m.addr }

// Metric is the value of the first series with a name and labels.
func (m *Member) Metric(name string, labels ...string) (string, error) {
	client := http.Client{Timeout: RequestWaitTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(m.URL() + "/metrics")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return series(resp.Body, name, labels)
}

// log is the end of what the process printed.
func (m *Member) log() string {
	b, err := os.ReadFile(m.logs)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-logShown):])
}
