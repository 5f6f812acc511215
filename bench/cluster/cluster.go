package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/cut"
)

// Cluster is a set of running nodes.
type Cluster struct {
	opts    Options
	ownsDir bool
	links   *cut.Net // nil: nodes reach each other directly

	mu      sync.Mutex
	nodes   []*Node
	retired []*Node
	made    int          // nodes ever
	ports   map[int]bool // of all of them
}

// Start starts all nodes and waits until each is ready.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts, ports: map[int]bool{}}
	if opts.Links {
		c.links = cut.New(opts.Logger)
	}
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "pontoon-bench-")
		if err != nil {
			return nil, err
		}
		c.opts.Dir, c.ownsDir = dir, true
	} else if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := c.layOut(); err != nil {
		c.Close()
		return nil, err
	}
	for _, n := range c.nodes {
		if err := n.Start(); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := c.waitReady(ctx, c.nodes); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// layOut gives every node its ports, directory and command line.
func (c *Cluster) layOut() error {
	var initial []string
	for range c.opts.Nodes {
		n, err := c.newNode()
		if err != nil {
			return err
		}
		initial = append(initial, n.Name+"=http://"+n.Peer)
	}
	token := fmt.Sprintf("bench-%d-%s", os.Getpid(), c.nodes[0].Peer)
	for _, n := range c.nodes {
		n.args = append(n.args,
			"--initial-cluster="+strings.Join(initial, ","),
			"--initial-cluster-state=new",
			"--initial-cluster-token="+token,
		)
		n.args = append(n.args, c.opts.Args...)
	}
	return nil
}

// newNode makes the next node, with ports, directory and what its command line
// says of itself.
func (c *Cluster) newNode() (*Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ports, err := freePorts(3, c.ports)
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		c.ports[p] = true
	}
	c.made++
	n := &Node{
		Name:     fmt.Sprintf("n%d", c.made),
		Endpoint: fmt.Sprintf("127.0.0.1:%d", ports[0]),
		Peer:     fmt.Sprintf("127.0.0.1:%d", ports[1]),
		Dir:      filepath.Join(c.opts.Dir, fmt.Sprintf("n%d", c.made)),
		binary:   c.opts.Binary,
		env:      c.opts.Env,
		logger:   c.opts.Logger,
	}
	n.LogFile = n.Dir + ".log"
	if c.opts.Enter != nil {
		if n.enter, err = c.opts.Enter(n.Name); err != nil {
			return nil, fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	if c.opts.Disks {
		if err := n.insertDisk(); err != nil {
			return nil, err
		}
	}
	own := n.Peer
	if c.links != nil {
		own = fmt.Sprintf("127.0.0.1:%d", ports[2])
		if err := c.links.Front(n.Name, n.Peer, own, n.Pid); err != nil {
			return nil, err
		}
	}
	if c.opts.Kind == Pontoon {
		n.args = append(n.args, "start")
	}
	n.args = append(n.args,
		"--name="+n.Name,
		"--data-dir="+n.Dir,
		"--listen-client-urls=http://"+n.Endpoint,
		"--advertise-client-urls=http://"+n.Endpoint,
		"--listen-peer-urls=http://"+own,
		"--initial-advertise-peer-urls=http://"+n.Peer,
	)
	c.nodes = append(c.nodes, n)
	return n, nil
}

// Join starts a new node that joins the running cluster through one of its
// nodes, and waits until it serves.
func (c *Cluster) Join(ctx context.Context) (*Node, error) {
	var through []string
	for _, n := range c.Nodes() {
		if n.Running() {
			through = append(through, n.Peer)
		}
	}
	n, err := c.newNode()
	if err != nil {
		return nil, err
	}
	n.args = append(n.args, "--join="+strings.Join(through, ","))
	n.args = append(n.args, c.opts.Args...)
	ctx, cancel := context.WithTimeout(ctx, c.opts.StartTimeout)
	defer cancel()
	return n, n.Restart(ctx)
}

// Retire takes a node that does not come back out of the list of nodes. What
// still runs of it is killed.
func (c *Cluster) Retire(n *Node) error {
	err := n.Kill()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = slices.DeleteFunc(c.nodes, func(o *Node) bool { return o == n })
	c.retired = append(c.retired, n)
	return err
}

// Crashes returns every end of a process that nobody asked for, of retired
// nodes too.
func (c *Cluster) Crashes() []error {
	c.mu.Lock()
	nodes := slices.Concat(c.nodes, c.retired)
	c.mu.Unlock()
	var out []error
	for _, n := range nodes {
		out = append(out, n.Crashes()...)
	}
	return out
}

// Links returns the network between the nodes, nil unless Options.Links.
func (c *Cluster) Links() *cut.Net { return c.links }

// Kind returns the system that runs.
func (c *Cluster) Kind() Kind { return c.opts.Kind }

// Dir returns the directory of data and logs.
func (c *Cluster) Dir() string { return c.opts.Dir }

// Nodes returns all nodes, running or not, without those retired.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

// Endpoints returns the client address of every node.
func (c *Cluster) Endpoints() []string {
	var out []string
	for _, n := range c.Nodes() {
		out = append(out, n.Endpoint)
	}
	return out
}

// WaitReady waits until every running node serves linearizable reads.
func (c *Cluster) WaitReady(ctx context.Context) error {
	var running []*Node
	for _, n := range c.Nodes() {
		if n.Running() {
			running = append(running, n)
		}
	}
	return c.waitReady(ctx, running)
}

func (c *Cluster) waitReady(ctx context.Context, nodes []*Node) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.StartTimeout)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error { return n.WaitReady(ctx) })
	}
	return g.Wait()
}

// StopAll asks every running node to stop cleanly and waits; nodes that do not
// stop within the time are killed, which is an error.
func (c *Cluster) StopAll(timeout time.Duration) error {
	var g errgroup.Group
	for _, n := range c.Nodes() {
		g.Go(func() error { return n.Stop(timeout) })
	}
	return g.Wait()
}

// Close kills what still runs and removes a directory of its own.
func (c *Cluster) Close() error {
	var errs []error
	c.mu.Lock()
	nodes := slices.Concat(c.nodes, c.retired)
	c.mu.Unlock()
	for _, n := range nodes {
		if n.Disk != nil {
			n.Disk.GoOn() // a process that waits for its disk does not end
		}
		errs = append(errs, n.Kill())
		if n.Disk != nil {
			errs = append(errs, n.Disk.Close())
		}
	}
	if c.links != nil {
		errs = append(errs, c.links.Close())
	}
	if c.ownsDir {
		errs = append(errs, os.RemoveAll(c.opts.Dir))
	}
	return errors.Join(errs...)
}
