package cluster

import (
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Kind is the system that a cluster runs.
type Kind string

// The systems known.
const (
	Pontoon Kind = "pontoon"
	Etcd    Kind = "etcd"
)

// Options of a cluster.
type Options struct {
	Kind   Kind
	Binary string // path of the executable
	Nodes  int    // default 3
	// Dir holds data directories and logs. Empty: a temporary directory that
	// Close removes.
	Dir string
	// Args are added to every node's command line.
	Args []string
	// Env are added to every node's environment, NAME=VALUE.
	Env []string
	// Enter returns, of a node by its name, a command that its process begins as
	// and that becomes the one appended to it. Nil: there is none.
	Enter func(node string) ([]string, error)
	// Links puts a proxy in front of every peer port, so that links can be cut.
	Links bool
	// Disks gives every node a disk of its own that can fail (package disk).
	Disks bool
	// StartTimeout bounds the time until a node is ready; default 30 s.
	StartTimeout time.Duration
	Logger       *slog.Logger
}

func (o *Options) complete() error {
	if o.Kind != Pontoon && o.Kind != Etcd {
		return fmt.Errorf("unknown kind of cluster %q", o.Kind)
	}
	if _, err := os.Stat(o.Binary); err != nil {
		return fmt.Errorf("%s binary: %w", o.Kind, err)
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
