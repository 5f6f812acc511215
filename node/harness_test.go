package node_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// cluster is a number of whole nodes in this process, on free loopback ports.
type cluster struct {
	t     testing.TB
	nodes []*testNode
}

// testNode is one node, running or not, and a connection to its client port.
type testNode struct {
	t    testing.TB
	addr string
	cfg  config.Config
	node *node.Node // nil: not running
	conn *grpc.ClientConn
	http *http.Client // of a node that speaks TLS
}

// newCluster starts n nodes and waits until all are ready. tune may change a
// node's configuration before.
func newCluster(t testing.TB, n int, tune func(i int, cfg *config.Config)) *cluster {
	t.Helper()
	c := layOut(t, n, tune)
	c.start()
	return c
}

// calm is for tests that no election may disturb, on a machine that is too busy
// for heartbeats at the usual pace: an election burns numbers, and requests wait
// for it.
func calm(_ int, cfg *config.Config) {
	cfg.HeartbeatInterval, cfg.ElectionTimeout = 100*time.Millisecond, 3*time.Second
}

func layOut(t testing.TB, n int, tune func(i int, cfg *config.Config)) *cluster {
	t.Helper()
	ports := freePorts(t, 2*n)
	var initial []string
	for i := range n {
		initial = append(initial, fmt.Sprintf("n%d=http://%s", i+1, ports[2*i+1]))
	}
	c := &cluster{t: t}
	for i := range n {
		cfg := config.Default()
		cfg.Name = fmt.Sprintf("n%d", i+1)
		cfg.DataDir = filepath.Join(t.TempDir(), cfg.Name)
		cfg.ListenClientURLs = []string{"http://" + ports[2*i]}
		cfg.AdvertiseClientURLs = cfg.ListenClientURLs
		cfg.ListenPeerURLs = []string{"http://" + ports[2*i+1]}
		cfg.AdvertisePeerURLs = cfg.ListenPeerURLs
		cfg.InitialCluster = strings.Join(initial, ",")
		cfg.HeartbeatInterval, cfg.ElectionTimeout = 50*time.Millisecond, 500*time.Millisecond
		cfg.CacheBytes = 4 << 20
		cfg.Logger = logger(cfg.Name)
		if tune != nil {
			tune(i, &cfg)
		}
		if err := cfg.Complete(); err != nil {
			t.Fatal(err)
		}
		nd := &testNode{t: t, addr: ports[2*i], cfg: cfg}
		conn, err := grpc.NewClient("passthrough:///"+nd.addr, insecureDial(),
			grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(64<<20), grpc.MaxCallRecvMsgSize(64<<20)))
		if err != nil {
			t.Fatal(err)
		}
		nd.conn = conn
		c.nodes = append(c.nodes, nd)
	}
	t.Cleanup(func() {
		for _, nd := range c.nodes {
			nd.conn.Close()
			if nd.node != nil {
				nd.kill()
			}
		}
	})
	return c
}

// logger is silent unless NODE_LOG is set.
func logger(name string) *slog.Logger {
	if os.Getenv("NODE_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("on", name)
}

func freePorts(t testing.TB, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs[i] = l.Addr().String()
	}
	return addrs
}

// start starts every node that does not run and waits until all are ready.
func (c *cluster) start() {
	c.t.Helper()
	for _, nd := range c.nodes {
		if nd.node == nil {
			nd.start()
		}
	}
	for _, nd := range c.nodes {
		nd.waitReady()
	}
}

func (nd *testNode) start() {
	nd.t.Helper()
	n, err := node.Start(nd.t.Context(), nd.cfg)
	if err != nil {
		nd.t.Fatal(err)
	}
	nd.node = n
	nd.conn.ResetConnectBackoff()
}

// stop is a clean stop, as on SIGTERM.
func (nd *testNode) stop() {
	nd.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := nd.node.Stop(ctx); err != nil {
		nd.t.Error(err)
	}
	nd.node = nil
}

// kill stops without handing anything over.
func (nd *testNode) kill() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := nd.node.Stop(ctx); err != nil {
		nd.t.Error(err)
	}
	nd.node = nil
}

func (nd *testNode) waitReady() {
	nd.t.Helper()
	wait(nd.t, nd.cfg.Name+" to be ready", func() bool {
		code, _ := nd.get("/readyz")
		return code == http.StatusOK
	})
}

func wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(time.Minute) // of a test that hangs
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !cond() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("timed out waiting for ", what)
		}
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func (nd *testNode) kv() pb.KVClient                   { return pb.NewKVClient(nd.conn) }
func (nd *testNode) watch() pb.WatchClient             { return pb.NewWatchClient(nd.conn) }
func (nd *testNode) lease() pb.LeaseClient             { return pb.NewLeaseClient(nd.conn) }
func (nd *testNode) maintenance() pb.MaintenanceClient { return pb.NewMaintenanceClient(nd.conn) }
func (nd *testNode) admin() pontoonpb.AdminClient      { return pontoonpb.NewAdminClient(nd.conn) }

// put writes and returns the revision; it waits for the node to be reachable.
func (nd *testNode) put(key, value string) int64 {
	nd.t.Helper()
	resp, err := nd.kv().Put(within(nd.t, 20*time.Second), &pb.PutRequest{Key: []byte(key), Value: []byte(value)}, grpc.WaitForReady(true))
	if err != nil {
		nd.t.Fatalf("put %s: %v", key, err)
	}
	return resp.Header.Revision
}

// mustHave is a linearizable read.
func (nd *testNode) mustHave(key, value string, rev int64) {
	nd.t.Helper()
	resp, err := nd.kv().Range(within(nd.t, 20*time.Second), &pb.RangeRequest{Key: []byte(key)}, grpc.WaitForReady(true))
	if err != nil {
		nd.t.Fatalf("get %s: %v", key, err)
	}
	if len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != value || rev > 0 && resp.Kvs[0].ModRevision != rev {
		nd.t.Fatalf("%s is %v, want %q at %d", key, resp.Kvs, value, rev)
	}
}

func (nd *testNode) split(key string) {
	nd.t.Helper()
	if _, err := nd.admin().RangeSplit(within(nd.t, 20*time.Second), &pontoonpb.RangeSplitRequest{Key: []byte(key)}); err != nil {
		nd.t.Fatalf("split at %s: %v", key, err)
	}
}

// get asks a plain HTTP path of the client port; code 0: no answer.
func (nd *testNode) get(path string) (code int, body string) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	base := "http://"
	if nd.http != nil {
		client, base = nd.http, "https://"
	}
	resp, err := client.Get(base + nd.addr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

func insecureDial() grpc.DialOption {
	return grpc.WithTransportCredentials(insecure.NewCredentials())
}
