package idle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/proc"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

// Run measures and returns the report, also with an error as far as it came.
func Run(ctx context.Context, out io.Writer, o Options) (rep *Report, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Kind: cluster.Pontoon, Binary: o.Binary, Nodes: o.Nodes, Dir: o.Dir,
		Args: o.Args, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	r := &run{o: o, c: c, out: out, rep: &Report{Nodes: o.Nodes}}
	r.steer = steer.New(r.endpoints)
	defer r.steer.Close()
	for _, phase := range []func(context.Context) error{r.grow, r.sleep, r.measure, r.restart} {
		if err := phase(ctx); err != nil {
			return r.rep, errors.Join(append(c.Crashes(), err)...)
		}
	}
	if err := errors.Join(c.Crashes()...); err != nil {
		return r.rep, err
	}
	return r.rep, r.rep.check(o)
}

type run struct {
	o     Options
	c     *cluster.Cluster
	out   io.Writer
	rep   *Report
	empty []proc.Process
	steer *steer.Client
	turn  atomic.Uint64
}

// endpoints begins with another node at every command.
func (r *run) endpoints() []string {
	all := r.c.Endpoints()
	i := int(r.turn.Add(1) % uint64(len(all)))
	return slices.Concat(all[i:], all[:i])
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// grow splits.
func (r *run) grow(ctx context.Context) (err error) {
	if r.empty, err = readAll(r.c); err != nil {
		return err
	}
	began := time.Now()
	err = split(ctx, r.steer, r.o.Ranges, r.o.Splits, func(n int) { r.o.Progress("split", n, r.o.Ranges) })
	r.rep.Ranges, r.rep.SplitSeconds = r.o.Ranges, time.Since(began).Seconds()
	if err == nil {
		r.say("%d ranges after %.0f s of splits", r.rep.Ranges, r.rep.SplitSeconds)
	}
	return err
}

// sleep waits until hardly anything is awake.
func (r *run) sleep(ctx context.Context) error {
	began := time.Now()
	for {
		list, err := r.steer.Ranges(ctx)
		asleep := 0
		for _, one := range list {
			if one.Asleep {
				asleep++
			}
		}
		r.rep.Asleep, r.rep.SettleSeconds = asleep, time.Since(began).Seconds()
		r.o.Progress("sleep", asleep, r.o.Ranges)
		if err == nil && asleep >= r.o.Ranges*99/100 {
			r.say("%d of %d ranges sleep after %.0f s", asleep, len(list), r.rep.SettleSeconds)
			return nil
		}
		if time.Since(began) > r.o.Settle {
			return fmt.Errorf("idle: %d of %d ranges sleep after %v: %w", asleep, r.o.Ranges, r.o.Settle, err)
		}
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// measure leaves the cluster alone for a while.
func (r *run) measure(ctx context.Context) error {
	select {
	case <-time.After(r.o.Window / 2): // what the list of ranges took is given back
	case <-ctx.Done():
		return ctx.Err()
	}
	before, err := readAll(r.c)
	if err != nil {
		return err
	}
	began := time.Now()
	select {
	case <-time.After(r.o.Window):
	case <-ctx.Done():
		return ctx.Err()
	}
	took := time.Since(began)
	after, err := readAll(r.c)
	if err != nil {
		return err
	}
	for i, n := range r.c.Nodes() {
		r.rep.Processes = append(r.rep.Processes, Process{
			Node:          n.Name,
			CPUPercent:    100 * float64(after[i].CPU-before[i].CPU) / float64(took),
			ResidentBytes: after[i].Resident,
			EmptyBytes:    r.empty[i].Resident,
			ReplicaBytes:  (after[i].Resident - r.empty[i].Resident) / int64(r.o.Ranges),
		})
	}
	return nil
}

// restart ends all processes at once and waits until ranges all over the
// keyspace serve.
func (r *run) restart(ctx context.Context) error {
	for _, n := range r.c.Nodes() {
		if err := n.Kill(); err != nil {
			return err
		}
	}
	began := time.Now()
	for _, n := range r.c.Nodes() {
		if err := n.Start(); err != nil {
			return err
		}
	}
	if err := r.c.WaitReady(ctx); err != nil {
		return err
	}
	r.rep.ReadySeconds = time.Since(began).Seconds()
	cl, err := dial.Open(dial.Options{Endpoints: r.c.Endpoints()})
	if err != nil {
		return err
	}
	defer cl.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range r.o.Reads {
		g.Go(func() error { return readOne(ctx, cl, boundary(i*r.o.Ranges/r.o.Reads)) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("idle: read after the restart: %w", err)
	}
	r.rep.RestartSeconds = time.Since(began).Seconds()
	return nil
}

// readOne reads until it is answered.
func readOne(ctx context.Context, cl *clientv3.Client, key string) (err error) {
	for range 20 {
		one, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err = cl.Get(one, key)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}
