package greedy

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cgroup"
	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/filler"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

const (
	// readyTime bounds how long a capped cluster takes to be ready and divided.
	readyTime      = 2 * time.Minute
	bystanderValue = 256
)

// bed is the cluster of one scenario.
type bed struct {
	o       *Options
	groups  []*cgroup.Group // of the nodes
	cluster *cluster.Cluster
	admin   *steer.Client
	pool    *dial.Pool // of the bystanders
	value   string     // that they put
}

// open starts the cluster. With an error too, what there is of it must be closed.
func (o *Options) open(ctx context.Context, groups *cgroup.Parent, name string) (*bed, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	b := &bed{o: o, value: filler.Text(bystanderValue)}
	enter := func(node string) ([]string, error) {
		g, err := groups.Group("greedy-" + name + "-" + node)
		if err != nil {
			return nil, err
		}
		b.groups = append(b.groups, g)
		return g.Enter(), errors.Join(g.CapCPU(o.CPU, o.Period), g.CapMemory(o.Memory))
	}
	var err error
	b.cluster, err = cluster.Start(ctx, cluster.Options{Kind: cluster.Pontoon, Binary: o.Pontoon, Nodes: o.Nodes, Dir: filepath.Join(o.Dir, name),
		Args: o.Args, Enter: enter, StartTimeout: readyTime, Logger: o.Logger})
	if err != nil {
		return b, err
	}
	if b.pool, err = dial.OpenPool(b.cluster.Endpoints(), o.Bystanders); err != nil {
		return b, err
	}
	b.admin = steer.New(b.cluster.Endpoints)
	return b, o.divide(ctx, b.admin)
}

// divide makes ranges and keeps placement from changing who leads them: what
// changes leaders then are the greedy clients.
func (o *Options) divide(ctx context.Context, admin *steer.Client) error {
	if err := admin.Set(ctx, "balance_off", "true", "range_merge_bytes", "off", "split_busy", "off"); err != nil {
		return err
	}
	var splits []string
	for i := 1; i < o.Ranges; i++ {
		splits = append(splits, rangePrefix(i))
	}
	return admin.Divide(ctx, splits...)
}

// Nodes is what became of the nodes.
type Nodes struct {
	MemoryPeak int64    `json:"memory_peak"` // bytes of the largest one's group, cached pages of files too
	OOMKills   int64    `json:"oom_kills"`
	Ended      []string `json:"ended,omitempty"` // by themselves
}

// close ends everything and tells of the nodes.
func (b *bed) close(n *Nodes) (err error) {
	if b.admin != nil {
		err = b.admin.Close()
	}
	if b.pool != nil {
		b.pool.Close()
	}
	if b.cluster != nil {
		for _, crash := range b.cluster.Crashes() {
			n.Ended = append(n.Ended, crash.Error())
		}
		err = errors.Join(err, b.cluster.Close())
	}
	for _, g := range b.groups { // a group goes when its process has ended
		m, unread := g.Memory()
		if unread != nil {
			unread = fmt.Errorf("what a node took is not known: %w", unread)
		}
		n.MemoryPeak, n.OOMKills = max(n.MemoryPeak, m.Peak), n.OOMKills+m.OOMKills
		err = errors.Join(err, unread, g.Close())
	}
	return err
}
