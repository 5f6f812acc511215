package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Cluster is a set of running nodes.
type Cluster struct {
	opts    Options
	nodes   []*Node
	ownsDir bool
}

// Start starts all nodes and waits until each is ready.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts}
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "pontoon-bench-")
		if err != nil {
			return nil, err
		}
		c.opts.Dir, c.ownsDir = dir, true
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
	ports, err := freePorts(2 * c.opts.Nodes)
	if err != nil {
		return err
	}
	var initial []string
	for i := range c.opts.Nodes {
		n := &Node{
			Name:     fmt.Sprintf("n%d", i+1),
			Endpoint: fmt.Sprintf("127.0.0.1:%d", ports[2*i]),
			Peer:     fmt.Sprintf("127.0.0.1:%d", ports[2*i+1]),
			Dir:      filepath.Join(c.opts.Dir, fmt.Sprintf("n%d", i+1)),
			binary:   c.opts.Binary,
			logger:   c.opts.Logger,
		}
		n.LogFile = n.Dir + ".log"
		c.nodes = append(c.nodes, n)
		initial = append(initial, n.Name+"=http://"+n.Peer)
	}
	token := fmt.Sprintf("bench-%d-%d", os.Getpid(), ports[0])
	for _, n := range c.nodes {
		if c.opts.Kind == Pontoon {
			n.args = append(n.args, "start")
		}
		n.args = append(n.args,
			"--name="+n.Name,
			"--data-dir="+n.Dir,
			"--listen-client-urls=http://"+n.Endpoint,
			"--advertise-client-urls=http://"+n.Endpoint,
			"--listen-peer-urls=http://"+n.Peer,
			"--initial-advertise-peer-urls=http://"+n.Peer,
			"--initial-cluster="+strings.Join(initial, ","),
			"--initial-cluster-state=new",
			"--initial-cluster-token="+token,
		)
		n.args = append(n.args, c.opts.Args...)
	}
	return nil
}

// Kind returns the system that runs.
func (c *Cluster) Kind() Kind { return c.opts.Kind }

// Dir returns the directory of data and logs.
func (c *Cluster) Dir() string { return c.opts.Dir }

// Nodes returns all nodes, running or not.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Endpoints returns the client address of every node.
func (c *Cluster) Endpoints() []string {
	out := make([]string, 0, len(c.nodes))
	for _, n := range c.nodes {
		out = append(out, n.Endpoint)
	}
	return out
}

// WaitReady waits until every running node serves linearizable reads.
func (c *Cluster) WaitReady(ctx context.Context) error {
	var running []*Node
	for _, n := range c.nodes {
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
	for _, n := range c.nodes {
		g.Go(func() error { return n.Stop(timeout) })
	}
	return g.Wait()
}

// Close kills what still runs and removes a directory of its own.
func (c *Cluster) Close() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.Kill())
	}
	if c.ownsDir {
		errs = append(errs, os.RemoveAll(c.opts.Dir))
	}
	return errors.Join(errs...)
}
