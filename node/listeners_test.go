package node_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
)

// fetch returns the status and the body of a GET, 0 if there was no answer.
func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// With HTTP on a port of its own, the client port speaks gRPC alone, and the
// metrics port has metrics and health alone. Slow requests are logged without
// the values in them.
func TestPortsApart(t *testing.T) {
	t.Parallel()
	extra := freePorts(t, 2)
	var log lockedBuffer
	l := layOut(t, 1, func(_ int, cfg *config.Config) {
		cfg.ListenClientHTTPURLs = []string{"http://" + extra[0]}
		cfg.ListenMetricsURLs = []string{"http://" + extra[1]}
		cfg.EnableGateway, cfg.EnablePprof, cfg.ReusePort, cfg.ReuseAddress = false, false, true, true
		cfg.SlowRequest = time.Nanosecond
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	})
	nd := l.nodes[0]
	nd.start()
	select {
	case <-nd.node.Serving():
	case <-time.After(20 * time.Second):
		t.Fatal("does not serve")
	}
	kv := pb.NewKVClient(nd.conn)
	if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: []byte("classified")}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]int{
		nd.addr + "/health": 0, extra[0] + "/health": 200, extra[1] + "/health": 200, extra[0] + "/version": 200, extra[1] + "/version": 404,
		extra[0] + "/v3/kv/range": 404, extra[1] + "/metrics": 200, extra[0] + "/debug/pprof/": 404, extra[1] + "/readyz/linearizable_read": 200,
	} {
		if code, body := fetch(t, "http://"+url); code != want {
			t.Errorf("%s: %d %s", url, code, body)
		}
	}
	if text := log.String(); !strings.Contains(text, `"msg":"request stats"`) || !strings.Contains(text, "/etcdserverpb.KV/Put") || strings.Contains(text, "classified") {
		t.Error(text)
	}
}

// A client over a socket of this machine is a client like any other.
func TestUnixSockets(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l := layOut(t, 1, func(_ int, cfg *config.Config) {
		cfg.ListenClientURLs = append(cfg.ListenClientURLs, "unix://"+socket)
		cfg.AdvertiseClientURLs = []string{"unix://" + socket}
	})
	l.start()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + socket}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Put(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
	members, err := c.MemberList(t.Context())
	if err != nil || len(members.Members[0].ClientURLs) != 1 || members.Members[0].ClientURLs[0] != "unix://"+socket {
		t.Errorf("%v %v", members, err)
	}
}

// A connection holds as many streams as it may, and more wait.
func TestConcurrentStreams(t *testing.T) {
	t.Parallel()
	const most = 3
	c := newCluster(t, 1, func(_ int, cfg *config.Config) { cfg.MaxConcurrentStreams = most })
	if config.Default().MaxConcurrentStreams != math.MaxUint32 {
		t.Error("a limit by default")
	}
	watch := pb.NewWatchClient(c.nodes[0].conn)
	opened := make(chan error)
	ctx := t.Context()
	for i := range most + 1 {
		go func() {
			stream, err := watch.Watch(ctx)
			if err == nil {
				err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte(fmt.Sprint(i))}}})
			}
			if err == nil {
				_, err = stream.Recv()
			}
			select {
			case opened <- err:
			case <-ctx.Done():
			}
		}()
	}
	for range most {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-opened:
		t.Errorf("one stream too many: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
}

// A metrics URL that wants encryption without a certificate is refused as etcd does.
func TestMetricsWantACertificate(t *testing.T) {
	t.Parallel()
	l := layOut(t, 1, func(_ int, cfg *config.Config) {
		cfg.ListenMetricsURLs = []string{"https://127.0.0.1:0"}
	})
	n, err := node.Start(t.Context(), l.nodes[0].cfg)
	if err == nil {
		_ = n.Stop(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "must be provided for metrics secure url") {
		t.Fatal(err)
	}
}
