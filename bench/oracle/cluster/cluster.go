package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options says what to start.
type Options struct {
	// Nodes is the number of nodes; default 1.
	Nodes int
	// Dir is where data and logs go; default a new temporary directory, which
	// Close removes.
	Dir string
	// ProgressInterval is passed as --watch-progress-notify-interval; default
	// etcd's own (ten minutes).
	ProgressInterval time.Duration
	// ElectionTimeout is passed as --election-timeout, a tenth of it as
	// --heartbeat-interval; default etcd's own (1 s).
	ElectionTimeout time.Duration
	// Prepare, if set, is called for every node before the first one starts, to
	// fill its data directory.
	Prepare func(Node) error
	// ReadyTimeout bounds the wait for all nodes to serve; default 30 s.
	ReadyTimeout time.Duration
}

func (o *Options) fill() {
	if o.Nodes == 0 {
		o.Nodes = 1
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = 30 * time.Second
	}
}

// heartbeat is what belongs to ElectionTimeout.
func (o *Options) heartbeat() time.Duration { return o.ElectionTimeout / 10 }

// Node is what a node will be started with.
type Node struct {
	Name, DataDir, PeerURL string
	InitialCluster, Token  string
}

// Cluster is a running etcd or Pontoon cluster.
type Cluster struct {
	// Name is "etcd" or "pontoon".
	Name string

	endpoints []string
	ranges    *Ranges
	logs      []func() string
	stop      []func() error
	removeDir string
}

// Endpoints returns the client address (host:port) of every node.
func (c *Cluster) Endpoints() []string { return c.endpoints }

// Ranges steers the ranges of the cluster; nil if it has none.
func (c *Cluster) Ranges() *Ranges { return c.ranges }

// Logs is the end of what each node has logged.
func (c *Cluster) Logs() string {
	var b strings.Builder
	for i, log := range c.logs {
		fmt.Fprintf(&b, "--- log of node %d\n%s\n", i+1, log())
	}
	return b.String()
}

// Close stops all nodes at once and removes the temporary directory.
func (c *Cluster) Close() error {
	errs := make([]error, len(c.stop))
	var wg sync.WaitGroup
	for i, stop := range c.stop {
		wg.Go(func() { errs[i] = stop() })
	}
	wg.Wait()
	c.stop = nil
	if c.removeDir != "" {
		errs = append(errs, os.RemoveAll(c.removeDir))
		c.removeDir = ""
	}
	return errors.Join(errs...)
}

// layout is the addresses of the nodes that are to be started.
type layout struct {
	dir     string
	names   []string
	clients []string // host:port
	peers   []string // host:port
}

// prepare fills the data directories.
func (l layout) prepare(o Options) error {
	if o.Prepare == nil {
		return nil
	}
	for i, name := range l.names {
		n := Node{Name: name, DataDir: filepath.Join(l.dir, name), PeerURL: "http://" + l.peers[i],
			InitialCluster: l.initialCluster(), Token: filepath.Base(l.dir)}
		if err := o.Prepare(n); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) initialCluster() string {
	var parts []string
	for i, n := range l.names {
		parts = append(parts, n+"=http://"+l.peers[i])
	}
	return strings.Join(parts, ",")
}

// newLayout chooses a directory and free ports. A port may be taken by somebody else
// before it is used; start retries with a new layout.
func newLayout(name string, o Options, c *Cluster) (layout, error) {
	l := layout{dir: o.Dir}
	if l.dir == "" {
		dir, err := os.MkdirTemp("", "oracle-"+name+"-")
		if err != nil {
			return l, err
		}
		l.dir, c.removeDir = dir, dir
	}
	ports, err := FreePorts(2 * o.Nodes)
	if err != nil {
		return l, err
	}
	for i := range o.Nodes {
		l.names = append(l.names, fmt.Sprintf("n%d", i+1))
		l.clients = append(l.clients, fmt.Sprintf("127.0.0.1:%d", ports[2*i]))
		l.peers = append(l.peers, fmt.Sprintf("127.0.0.1:%d", ports[2*i+1]))
	}
	c.endpoints = l.clients
	return l, nil
}

// Ports come from a span that no system uses for outgoing connections: they are
// used some time after they were found free.
const firstPort, lastPort = 20000, 32000

// FreePorts returns ports of the loopback interface that nobody listens at.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if tries > 1000 {
				return nil, err
			}
			continue
		}
		defer l.Close() // all stay open until every port is chosen
		ports = append(ports, port)
	}
	return ports, nil
}

// start runs the starter up to three times: between the choice of a free port and
// its use another process may take it.
func start(name string, o Options, starter func(*Cluster, layout, Options) error) (*Cluster, error) {
	o.fill()
	var err error
	for range 3 {
		c := &Cluster{Name: name}
		var l layout
		if l, err = newLayout(name, o, c); err == nil {
			err = l.prepare(o)
		}
		if err == nil {
			if err = starter(c, l, o); err == nil {
				return c, nil
			}
		}
		_ = c.Close() // the start's error says more
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return nil, fmt.Errorf("cluster: start %s: %w", name, err)
}

// waitReady polls /readyz of an endpoint until it answers 200 (I2). dead reports
// that waiting is pointless.
func waitReady(endpoint string, timeout time.Duration, dead func() error) error {
	deadline := time.Now().Add(timeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	client := http.Client{Timeout: 2 * time.Second}
	last := errors.New("no answer")
	for time.Now().Before(deadline) {
		if err := dead(); err != nil {
			return err
		}
		resp, err := client.Get("http://" + endpoint + "/readyz")
		if err != nil {
			last = err
		} else {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			last = fmt.Errorf("readyz: %s", resp.Status)
		}
		<-tick.C
	}
	return fmt.Errorf("node %s not ready after %s: %w", endpoint, timeout, last)
}
