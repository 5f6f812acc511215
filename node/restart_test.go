package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
)

// P6: a node that is alone and stops cleanly leaves the exact next number in
// the log; what it held is there again, and no revision is skipped.
func TestCleanStopSkipsNoRevision(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	nd.split("m")
	if _, err := nd.lease().LeaseGrant(within(t, 10*time.Second), &pb.LeaseGrantRequest{TTL: 600, ID: 9}); err != nil {
		t.Fatal(err)
	}
	last := nd.put("a", "0")
	for round := range 3 {
		nd.stop()
		nd.start()
		nd.mustHave("a", fmt.Sprint(round), last)
		rev := nd.put("a", fmt.Sprint(round+1))
		if rev != last+1 {
			t.Fatalf("revision %d after a clean stop at %d", rev, last)
		}
		if got := nd.put("z", "1"); got != rev+1 {
			t.Fatalf("revision %d after %d", got, rev)
		}
		last = nd.put("a", fmt.Sprint(round+1))
	}
	if l, err := nd.lease().LeaseTimeToLive(within(t, 10*time.Second), &pb.LeaseTimeToLiveRequest{ID: 9}); err != nil || l.GrantedTTL != 600 {
		t.Fatal(l, err)
	}
}

// complaints keeps what is logged as a warning or worse.
type complaints struct {
	slog.Handler
	mu   *sync.Mutex
	said *[]string
}

func (c complaints) Enabled(context.Context, slog.Level) bool { return true }
func (c complaints) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c complaints) WithGroup(string) slog.Handler            { return c }

func (c complaints) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		c.mu.Lock()
		defer c.mu.Unlock()
		*c.said = append(*c.said, r.Message)
	}
	return nil
}

// A clean stop of a node that is alone has nothing to complain of.
func TestCleanStopIsSilent(t *testing.T) {
	t.Parallel()
	log := complaints{slog.DiscardHandler, &sync.Mutex{}, &[]string{}}
	c := newCluster(t, 1, func(_ int, cfg *config.Config) { cfg.Logger = slog.New(log) })
	c.nodes[0].put("a", "0")
	log.mu.Lock()
	*log.said = nil // of the start
	log.mu.Unlock()
	c.nodes[0].stop()
	log.mu.Lock()
	defer log.mu.Unlock()
	if len(*log.said) > 0 {
		t.Errorf("%q", *log.said)
	}
}

// P6: a stop that takes long, because a client holds on to a request, grants
// nothing after the hand-over.
func TestSlowCleanStopSkipsNoRevision(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	last := nd.put("a", "1")
	ctx := within(t, 30*time.Second)
	hold, err := healthpb.NewHealthClient(nd.conn).Watch(ctx, &healthpb.HealthCheckRequest{}) // a stream that only a grace ends
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hold.Recv(); err != nil {
		t.Fatal(err)
	}
	nd.stop()
	nd.start()
	if rev := nd.put("a", "2"); rev != last+1 {
		t.Fatalf("revision %d after a clean stop at %d", rev, last)
	}
}

// P6: as nodes stop cleanly one after another and come back, the numbers stay
// dense; a stop of the whole cluster loses nothing.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, calm)
	c.nodes[0].split("m")
	last := c.nodes[0].put("a", "1")
	for i, nd := range c.nodes {
		other := c.nodes[(i+1)%3]
		nd.stop()
		for _, key := range []string{"a", "z"} {
			rev := other.put(key, fmt.Sprint(i))
			if rev != last+1 {
				t.Errorf("revision %d after %d while %s is away", rev, last, nd.cfg.Name)
			}
			last = rev
		}
		nd.start()
		nd.waitReady()
	}
	for _, nd := range c.nodes {
		nd.stop()
	}
	c.start()
	for _, nd := range c.nodes {
		nd.mustHave("z", "2", last)
	}
	if rev := c.nodes[0].put("a", "after"); rev <= last {
		t.Errorf("revision %d after %d", rev, last)
	}
}

// Nothing of a node is left once it stopped: the next one finds ports and data
// free, and no goroutine goes on. Not parallel: it looks at the whole process.
func TestStopLeavesNothing(t *testing.T) {
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	ctx, cancel := context.WithCancel(within(t, 30*time.Second))
	stream, err := nd.watch().Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("a")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	nd.put("a", "1")
	nd.stop()
	for err == nil { // the stream ends with its node
		_, err = stream.Recv()
	}
	cancel()
	nd.conn.Close()
	var left []string
	deadline := time.Now().Add(10 * time.Second)
	for left = strays(); len(left) > 0 && time.Now().Before(deadline); left = strays() {
		runtime.Gosched()
	}
	for _, g := range left {
		t.Error("left running:\n", g)
	}
}

// strays lists goroutines that run code of a node.
func strays() (list []string) {
	buf := make([]byte, 4<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "node_test.") || strings.Contains(g, "testing.(*T)") {
			continue
		}
		for _, code := range []string{"pontoon-kv/pontoon/", "cockroachdb/pebble", "hashicorp/memberlist", "soheilhy/cmux", "google.golang.org/grpc"} {
			if strings.Contains(g, code) {
				list = append(list, g)
				break
			}
		}
	}
	return list
}

// refused starts a node that must not start, for a reason that the message
// gives.
func refused(t *testing.T, cfg config.Config, want string) {
	t.Helper()
	n, err := node.Start(t.Context(), cfg)
	if err == nil {
		n.Stop(t.Context())
		t.Fatalf("started, want a refusal: %s", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Fatalf("refused with %q, want %q", err, want)
	}
}

// What stands in the way of a start is named, and harms nothing: the node
// starts on the same data once it is gone.
func TestRefusedStartsHarmNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	rev := nd.put("a", "1")
	stranger := layOut(t, 3, func(_ int, cfg *config.Config) { cfg.InitialClusterToken = "another" }).nodes[0].cfg
	file := filepath.Join(nd.cfg.DataDir, "cluster.json")

	t.Run("client port in use", func(t *testing.T) {
		cfg := layOut(t, 1, nil).nodes[0].cfg
		cfg.ListenClientURLs = nd.cfg.ListenClientURLs
		refused(t, cfg, "address already in use")
	})
	t.Run("peer port in use", func(t *testing.T) {
		cfg := layOut(t, 1, nil).nodes[0].cfg
		cfg.ListenPeerURLs = nd.cfg.ListenPeerURLs
		refused(t, cfg, "address already in use")
		cfg.ListenPeerURLs = cfg.AdvertisePeerURLs
		n, err := node.Start(t.Context(), cfg) // the port it had taken is free again
		if err != nil {
			t.Fatal(err)
		}
		n.Stop(t.Context())
	})
	t.Run("data directory in use", func(t *testing.T) {
		cfg := layOut(t, 1, nil).nodes[0].cfg
		cfg.DataDir = nd.cfg.DataDir
		refused(t, cfg, "in use")
	})
	nd.mustHave("a", "1", rev) // it never noticed
	nd.stop()
	t.Run("data directory of another cluster", func(t *testing.T) {
		cfg := stranger
		cfg.DataDir = nd.cfg.DataDir
		refused(t, cfg, "is that of node")
	})
	t.Run("engine of another cluster", func(t *testing.T) {
		cfg := stranger
		cfg.DataDir = t.TempDir()
		if err := os.Rename(filepath.Join(nd.cfg.DataDir, "engine"), filepath.Join(cfg.DataDir, "engine")); err != nil {
			t.Fatal(err)
		}
		refused(t, cfg, "belongs to")
		if err := os.Rename(filepath.Join(cfg.DataDir, "engine"), filepath.Join(nd.cfg.DataDir, "engine")); err != nil {
			t.Fatal(err)
		}
	})
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, torn := range map[string][]byte{"half": good[:len(good)/2], "empty": nil, "other": []byte("{}\n")} {
		t.Run("torn cluster.json: "+name, func(t *testing.T) {
			if err := os.WriteFile(file, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, nd.cfg, "damaged")
		})
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("engine gone", func(t *testing.T) {
		away := filepath.Join(t.TempDir(), "engine")
		engine := filepath.Join(nd.cfg.DataDir, "engine")
		if err := os.Rename(engine, away); err != nil {
			t.Fatal(err)
		}
		refused(t, nd.cfg, "its engine is gone")
		if err := errors.Join(os.RemoveAll(engine), os.Rename(away, engine)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("joining a running cluster", func(t *testing.T) {
		cfg := layOut(t, 1, nil).nodes[0].cfg
		cfg.InitialClusterState = "existing"
		refused(t, cfg, "cannot fetch cluster info from peer urls")
	})
	t.Run("data directory is a file", func(t *testing.T) {
		cfg := layOut(t, 1, nil).nodes[0].cfg
		if err := os.MkdirAll(filepath.Dir(cfg.DataDir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cfg.DataDir, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, cfg, "data directory")
	})
	nd.start()
	nd.mustHave("a", "1", rev)
	if got := nd.put("a", "2"); got != rev+1 {
		t.Errorf("revision %d after %d", got, rev)
	}
}

// A founder that lost its data directory is not the member that it was: what it had
// acknowledged and voted is gone. The others know it, also without a quorum, and
// after a restart.
//
// Not in parallel: whoever gets no answer in time is not refused.
func TestFounderWithoutItsDataIsRefused(t *testing.T) {
	c := newCluster(t, 3, nil)
	first, second, lost := c.nodes[0], c.nodes[1], c.nodes[2]
	first.put("a", "1")
	for _, nd := range []*testNode{first, second} {
		wait(t, "all to be known as started", func() bool {
			r, err := pb.NewClusterClient(nd.conn).MemberList(t.Context(), &pb.MemberListRequest{})
			return err == nil && !slices.ContainsFunc(r.Members, func(m *pb.Member) bool { return len(m.ClientURLs) == 0 })
		})
	}
	refused := func(others string) {
		t.Helper()
		if err := os.RemoveAll(lost.cfg.DataDir); err != nil {
			t.Fatal(err)
		}
		n, err := node.Start(t.Context(), lost.cfg)
		if err == nil {
			n.Stop(t.Context())
			t.Fatalf("it started anew beside %s", others)
		}
		if !strings.Contains(err.Error(), "has already been bootstrapped") {
			t.Fatalf("beside %s: %v", others, err)
		}
	}
	lost.kill()
	refused("two others")
	second.kill()
	refused("one other")
	first.kill()
	first.start()
	refused("one other that knows only what it had saved")
}
