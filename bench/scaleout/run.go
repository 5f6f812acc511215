package scaleout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cgroup"
	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/filler"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

// Run measures and returns the report, also with an error as far as it came.
func Run(ctx context.Context, out io.Writer, o Options) (rep *Report, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	groups, err := cgroup.Open(o.Cgroup)
	if err != nil {
		return nil, fmt.Errorf("scaleout: nodes cannot be capped here, so there is nothing to measure: %w", err) // I1
	}
	defer func() { err = errors.Join(err, groups.Close()) }()
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "pontoon-scaleout-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(o.Dir)
	}
	r := &run{o: o, out: out, groups: groups, rep: &Report{Setup: describe(&o, groups.Version())}}
	sizes := r.sizes()
	total := len(sizes) * o.Rounds
	fmt.Fprintf(out, "scaleout: %d clusters, nodes of %.2f cores, %d clients, %d ranges, %d-byte values, about %v of load\n",
		total, o.CPU, o.Clients, o.Ranges, o.ValueSize, time.Duration(total)*(o.Cell+o.Warmup))
	for round := range o.Rounds {
		for i, s := range sizes {
			p, err := r.measure(ctx, round, s)
			if err != nil {
				r.rep.summarize(o.From, o.To) // what there is
				return r.rep, fmt.Errorf("round %d, %s with %d nodes: %w", round+1, s.kind, s.nodes, err)
			}
			r.rep.Points = append(r.rep.Points, p)
			fmt.Fprintln(out, p.line())
			o.Progress("scaleout", round*len(sizes)+i+1, total)
		}
		slices.Reverse(sizes) // no size is always first
	}
	r.rep.summarize(o.From, o.To)
	return r.rep, r.rep.below(o.MinRatio)
}

type run struct {
	o      Options
	out    io.Writer
	groups *cgroup.Parent
	rep    *Report
}

type size struct {
	kind   cluster.Kind
	binary string
	nodes  int
}

// sizes are the clusters of one round, the two systems in turn.
func (r *run) sizes() (out []size) {
	for i := range max(len(r.o.PontoonNodes), len(r.o.EtcdNodes)) {
		if i < len(r.o.PontoonNodes) {
			out = append(out, size{cluster.Pontoon, r.o.Pontoon, r.o.PontoonNodes[i]})
		}
		if r.o.Etcd != "" && i < len(r.o.EtcdNodes) {
			out = append(out, size{cluster.Etcd, r.o.Etcd, r.o.EtcdNodes[i]})
		}
	}
	return out
}

// measure runs one cluster.
func (r *run) measure(ctx context.Context, round int, s size) (p Point, err error) {
	name := fmt.Sprintf("%d-%s-%d", round+1, s.kind, s.nodes)
	dir := filepath.Join(r.o.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return p, err
	}
	// Go takes its parallelism from the quota a process starts under. These get
	// theirs later, so they are told.
	procs := max(2, int(math.Ceil(r.o.CPU)))
	c, err := cluster.Start(ctx, cluster.Options{
		Kind: s.kind, Binary: s.binary, Nodes: s.nodes, Dir: dir, StartTimeout: time.Minute,
		Env: []string{fmt.Sprintf("GOMAXPROCS=%d", procs)}, Logger: r.o.Logger})
	if err != nil {
		return p, err
	}
	defer func() {
		if err = errors.Join(err, errors.Join(c.Crashes()...), c.Close()); err == nil {
			err = os.RemoveAll(dir) // the next cluster gets the disk as this one did
		}
	}()
	pool, err := dial.OpenPool(c.Endpoints(), r.o.Connections)
	if err != nil {
		return p, err
	}
	defer pool.Close()
	text := filler.Text(r.o.ValueSize)
	leads, err := r.prepare(ctx, c, pool, text)
	if err != nil {
		return p, err
	}
	m := &meter{nodes: c.Nodes()}
	defer func() {
		err = errors.Join(err, c.Close()) // a group goes when its process has ended
		for _, g := range m.groups {
			err = errors.Join(err, g.Close())
		}
	}()
	if m.groups, err = r.cap(m.nodes, dir, name); err != nil {
		return p, err
	}
	p = Point{System: s.kind, Nodes: s.nodes, Round: round + 1, Cap: r.o.CPU}
	if p.IdleCores, err = m.idle(ctx, r.o.Idle); err != nil {
		return p, err
	}
	profiles := r.profile(ctx, s, name, m.nodes)
	p.Summary, p.Unanswered, err = r.o.puts(ctx, pool, text, window{m.begin, m.end})
	err = errors.Join(err, profiles())
	if err == nil {
		m.into(&p, leads)
	}
	return p, err
}

// prepare makes ranges where they should be and keys in them.
func (r *run) prepare(ctx context.Context, c *cluster.Cluster, pool *dial.Pool, value string) (leads map[string]int, err error) {
	if c.Kind() == cluster.Pontoon {
		if err := c.Split(ctx, splitKeys(r.o.Keys, r.o.Ranges)...); err != nil {
			return nil, err
		}
		admin := steer.New(c.Endpoints)
		defer admin.Close()
		if leads, err = spread(ctx, admin, r.o.Ranges); err != nil {
			return nil, err
		}
	}
	return leads, r.o.fill(ctx, pool, value)
}

// cap puts every node into a group of its own.
func (r *run) cap(nodes []*cluster.Node, dir, name string) (groups []*cgroup.Group, err error) {
	device := ""
	if r.o.WriteBytes > 0 {
		if device, err = cgroup.Device(dir); err != nil {
			return nil, err
		}
	}
	for _, n := range nodes {
		g, err := r.groups.Group(name + "-" + n.Name)
		if err != nil {
			return groups, err
		}
		groups = append(groups, g)
		if err := g.CapCPU(r.o.CPU, r.o.Period); err != nil {
			return groups, err
		}
		if device != "" {
			if err := g.CapWrites(device, r.o.WriteBytes); err != nil {
				return groups, err
			}
		}
		if err := g.Add(n.Pid()); err != nil {
			return groups, err
		}
	}
	return groups, nil
}
