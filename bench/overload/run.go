package overload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/pontoon-kv/pontoon/bench/cgroup"
	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/filler"
	"github.com/pontoon-kv/pontoon/bench/stat"
	"github.com/pontoon-kv/pontoon/bench/steer"
	"github.com/pontoon-kv/pontoon/bench/vitals"
)

// Run measures and returns the report, also with an error as far as it came.
func Run(ctx context.Context, out io.Writer, o Options) (rep *Report, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	groups, err := cgroup.Open(o.Cgroup)
	if err != nil {
		return nil, fmt.Errorf("overload: nodes cannot be capped here, so there is nothing to measure: %w", err) // I1
	}
	defer func() { err = errors.Join(err, groups.Close()) }()
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "pontoon-overload-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(o.Dir)
	}
	r := &run{o: o, out: out, groups: groups}
	rep = &Report{Setup: Setup{o.Nodes, o.CPU, groups.Version(), o.Clients, o.Times, stat.Ms(o.Deadline), o.Connections, o.Ranges, o.Keys, o.ValueSize,
		o.Cell.Seconds()}}
	for i, s := range o.systems() {
		result, err := r.measure(ctx, s)
		if err != nil {
			return rep, fmt.Errorf("%s: %w", s.kind, err)
		}
		rep.Results = append(rep.Results, *result)
		o.Progress("overload", i+1, len(o.systems()))
	}
	return rep, rep.missed(&o)
}

type run struct {
	o      Options
	out    io.Writer
	groups *cgroup.Parent
}

// measure runs one cluster.
func (r *run) measure(ctx context.Context, s system) (_ *Result, err error) {
	dir := filepath.Join(r.o.Dir, string(s.kind))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// Go takes its parallelism from the quota a process starts under. These get
	// theirs later, so they are told.
	c, err := cluster.Start(ctx, cluster.Options{Kind: s.kind, Binary: s.binary, Nodes: r.o.Nodes, Dir: dir, Args: s.args, Logger: r.o.Logger,
		Env: []string{fmt.Sprintf("GOMAXPROCS=%d", max(2, int(math.Ceil(r.o.CPU))))}})
	if err != nil {
		return nil, err
	}
	var capped []*cgroup.Group
	defer func() {
		err = errors.Join(err, errors.Join(c.Crashes()...), c.Close())
		for _, g := range capped { // a group goes when its process has ended
			err = errors.Join(err, g.Close())
		}
	}()
	pool, err := dial.OpenPool(c.Endpoints(), r.o.Connections)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	var admin *steer.Client
	if s.kind == cluster.Pontoon {
		admin = steer.New(c.Endpoints)
		defer admin.Close()
		if err := r.divide(ctx, admin); err != nil {
			return nil, err
		}
	}
	value := filler.Text(r.o.ValueSize)
	if err := r.o.fill(ctx, pool, value); err != nil {
		return nil, err
	}
	if capped, err = r.cap(c.Nodes()); err != nil {
		return nil, err
	}
	return r.phases(ctx, s.kind, c, admin, pool, value)
}

// phases are the load before, during and after.
func (r *run) phases(ctx context.Context, kind cluster.Kind, c *cluster.Cluster, admin *steer.Client, pool *dial.Pool, value string) (*Result, error) {
	result := &Result{System: kind}
	var err error
	if result.Peak, err = r.o.closed(ctx, pool, value); err != nil {
		return nil, err
	}
	peak := result.Peak.Useful.PerSecond
	if peak == 0 {
		return nil, errors.New("nothing was put below the peak")
	}
	watcher, err := vitals.Observe(ctx, c, admin, r.o.LeaseTTL)
	if err != nil {
		return nil, err
	}
	result.Load = r.o.open(ctx, pool, value, peak*r.o.Times)
	if result.Vitals, err = watcher.End(ctx); err != nil {
		return nil, err
	}
	result.Goodput = result.Load.Useful.PerSecond / peak
	result.After, err = r.o.closed(ctx, pool, value)
	return result, err
}

// divide makes ranges, leads them by all nodes alike, and keeps placement from
// changing that: what changes leaders then is the load.
func (r *run) divide(ctx context.Context, admin *steer.Client) error {
	if err := admin.Set(ctx, "balance_off", "true", "range_merge_bytes", "off", "split_busy", "off"); err != nil {
		return err
	}
	var splits []string
	for i := 1; i < r.o.Ranges; i++ {
		splits = append(splits, keyName(i*r.o.Keys/r.o.Ranges))
	}
	return admin.Divide(ctx, splits...)
}

// cap puts every node into a group of its own.
func (r *run) cap(nodes []*cluster.Node) (groups []*cgroup.Group, err error) {
	for _, n := range nodes {
		g, err := r.groups.Group("overload-" + n.Name)
		if err != nil {
			return groups, err
		}
		groups = append(groups, g)
		if err := errors.Join(g.CapCPU(r.o.CPU, r.o.Period), g.Add(n.Pid())); err != nil {
			return groups, err
		}
	}
	return groups, nil
}
