package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/measure"
	"github.com/pontoon-kv/pontoon/bench/steer"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

// stage is a cluster that is ready to be measured.
type stage struct {
	cluster *cluster.Cluster // nil: elsewhere
	pool    *dial.Pool
	steer   *steer.Client // nil: no ranges
	meter   *measure.Meter
	target  *workload.Target
	dir     string
}

// fillTime bounds how long a stage may take to be ready.
const fillTime = 5 * time.Minute

// open starts a system for a group and fills it.
func (o *Options) open(ctx context.Context, s *System, g *workload.Group, dir string, profiled bool) (*stage, error) {
	ctx, cancel := context.WithTimeout(ctx, fillTime)
	defer cancel()
	st := &stage{dir: dir}
	if err := o.prepare(ctx, s, g, st, profiled); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare: %w", err), st.close(context.WithoutCancel(ctx)))
	}
	return st, nil
}

func (o *Options) prepare(ctx context.Context, s *System, g *workload.Group, st *stage, profiled bool) (err error) {
	endpoints := s.Endpoints
	if !s.foreign() {
		if err := o.start(ctx, s, g, st, profiled); err != nil {
			return err
		}
		endpoints = st.cluster.Endpoints()
	}
	if st.pool, err = dial.OpenPool(endpoints, o.Connections); err != nil {
		return err
	}
	st.target = &workload.Target{Clients: st.pool, Window: o.Window, Warmup: o.Warmup, Seed: o.Seed, Meter: st.meter}
	if st.steer != nil {
		st.target.Shaker = &shaker{client: st.steer, seed: o.Seed}
	}
	if s.foreign() {
		if err := st.wipe(ctx); err != nil { // of a run that ended early
			return err
		}
	}
	if g.Fill == nil {
		return nil
	}
	return g.Fill(ctx, st.target)
}

// start starts processes, and splits where there are ranges.
func (o *Options) start(ctx context.Context, s *System, g *workload.Group, st *stage, profiled bool) (err error) {
	if err := os.MkdirAll(st.dir, 0o755); err != nil {
		return err
	}
	args := s.Args
	if profiled {
		args = append([]string{"--enable-pprof"}, args...)
	}
	st.cluster, err = cluster.Start(ctx, cluster.Options{Kind: s.Kind, Binary: s.Binary, Args: args, Nodes: g.Nodes, Dir: st.dir, Logger: o.Logger})
	if err != nil {
		return err
	}
	var servers []measure.Server
	for _, n := range st.cluster.Nodes() {
		servers = append(servers, measure.Server{Pid: n.Pid(), Endpoint: n.Endpoint, Dir: n.Dir})
	}
	st.meter = measure.NewMeter(string(s.Kind), servers)
	if s.Kind != cluster.Pontoon {
		return nil
	}
	st.steer = steer.New(st.cluster.Endpoints)
	return st.steer.Divide(ctx, g.Splits...)
}

// wipe removes the keys of a run from a cluster elsewhere.
func (st *stage) wipe(ctx context.Context) error {
	_, err := st.pool.Client(0).Delete(ctx, workload.Prefix, clientv3.WithPrefix())
	return err
}

// crashes tells of nodes that ended by themselves.
func (st *stage) crashes() error {
	if st.cluster == nil {
		return nil
	}
	return errors.Join(st.cluster.Crashes()...)
}

// wipeTime bounds the last request to a cluster elsewhere.
const wipeTime = 30 * time.Second

// close ends everything. The next cluster gets the disk as this one did.
func (st *stage) close(ctx context.Context) error {
	var errs []error
	if st.pool != nil {
		if st.cluster == nil {
			ctx, cancel := context.WithTimeout(ctx, wipeTime)
			errs = append(errs, st.wipe(ctx))
			cancel()
		}
		st.pool.Close()
	}
	if st.steer != nil {
		errs = append(errs, st.steer.Close())
	}
	if st.cluster != nil {
		errs = append(errs, st.cluster.Close(), os.RemoveAll(st.dir))
	}
	return errors.Join(errs...)
}

// build reads what the binary of a system says of itself.
func build(s *System) (measure.Build, error) {
	b, err := measure.ReadBuild(s.Binary, s.Kind == cluster.Etcd)
	if err != nil {
		return b, fmt.Errorf("%s: %w", filepath.Base(s.Binary), err)
	}
	return b, nil
}
