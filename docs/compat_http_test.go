package docs

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
)

// plainPaths are those of the client port that are no RPCs.
var plainPaths = []entry{
	{[]string{"/version"}, differs, "has Pontoon's version, too"},
	{[]string{"/health"}, yes, ""},
	{[]string{"/health?serializable=true"}, yes, ""},
	{[]string{"/health?exclude=NOSPACE"}, yes, ""},
	{[]string{"/livez"}, yes, ""},
	{[]string{"/livez?verbose"}, yes, ""},
	{[]string{"/livez?exclude=serializable_read"}, yes, ""},
	{[]string{"/livez/serializable_read"}, yes, ""},
	{[]string{"/readyz"}, differs, "also fails while the node stops, so that nobody new is sent to it"},
	{[]string{"/readyz/data_corruption"}, yes, ""},
	{[]string{"/readyz/serializable_read"}, yes, ""},
	{[]string{"/readyz/linearizable_read"}, yes, ""},
	{[]string{"/readyz/non_learner"}, yes, ""},
	{[]string{"/metrics"}, yes, ""},
	{[]string{"/debug/vars"}, yes, ""},
	{[]string{"/debug/pprof/"}, yes, ""},
	{[]string{"/debug/requests"}, no, "spans go to a collector: `--enable-distributed-tracing`"},
	{[]string{"/debug/events"}, no, "spans go to a collector: `--enable-distributed-tracing`"},
	{[]string{"/v3beta/kv/range"}, yes, ""},
}

// ports that serve something else than the client port.
var otherPorts = []entry{
	{[]string{"`--listen-metrics-urls`", "`/metrics` `/health` `/livez` `/readyz`"}, yes, ""},
	{[]string{"`--listen-client-http-urls`", "all of the client port's"}, yes, ""},
	{[]string{"peer port", "`/raft` `/members` `/leases` `/version` `/downgrade/enabled`"}, no, "members speak gRPC of their own"},
}

// httpRows are the paths that are no RPCs; the node must have those that are
// said to be there, and no other.
func httpRows(t *testing.T, n *liveNode) (rows []entry) {
	for _, r := range plainPaths {
		n.hasPath(t, r.what[0], r.state != no)
		rows = append(rows, entry{[]string{"client port", "GET `" + r.what[0] + "`"}, r.state, r.note})
	}
	for _, p := range []string{"/raft", "/members", "/leases", "/version"} {
		if resp, err := n.http.Get(n.peer + p); err == nil {
			resp.Body.Close()
			t.Errorf("the peer port answers %s with %d", p, resp.StatusCode)
		}
	}
	return append(rows, otherPorts...)
}

// liveNode is a node to ask.
type liveNode struct {
	conn         *grpc.ClientConn
	http         *http.Client
	client, peer string
}

func startNode(t *testing.T, dial ...grpc.DialOption) *liveNode {
	t.Helper()
	return startNodeAs(t, func(*config.Config) {}, dial...)
}

// startNodeAs starts a node with another configuration.
func startNodeAs(t *testing.T, tune func(*config.Config), dial ...grpc.DialOption) *liveNode {
	t.Helper()
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
		l.Close()
	}
	n := &liveNode{client: "http://" + addrs[0], peer: "http://" + addrs[1], http: &http.Client{Timeout: 10 * time.Second}}
	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	cfg.ListenClientURLs, cfg.AdvertiseClientURLs = []string{n.client}, []string{n.client}
	cfg.ListenPeerURLs = []string{n.peer}
	cfg.Logger = nil
	tune(&cfg)
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	running, err := node.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if n.conn, err = grpc.NewClient("passthrough:///"+addrs[0], append(dial, grpc.WithTransportCredentials(insecure.NewCredentials()))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := running.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-running.Serving():
	case <-time.After(20 * time.Second):
		t.Fatal("the node does not serve")
	}
	return n
}

// hasPath holds what is said of a path against what a GET is answered: a path
// of the gateway takes a POST only, and says so.
func (n *liveNode) hasPath(t *testing.T, path string, want bool) {
	t.Helper()
	resp, err := n.http.Get(n.client + path)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if there := resp.StatusCode != http.StatusNotFound; there != want {
		t.Errorf("%s: %d", path, resp.StatusCode)
	}
	if strings.HasPrefix(path, "/v3") && resp.StatusCode != http.StatusNotImplemented {
		t.Errorf("GET %s: %d", path, resp.StatusCode)
	}
}
