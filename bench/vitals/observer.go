package vitals

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/proc"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

const (
	lookEvery = 200 * time.Millisecond
	leaseKey  = "vitals-lease"
	// askLimit bounds what is asked before and after, when nothing is asked for
	// too much.
	askLimit = 30 * time.Second
)

// Observer looks after a lease and at the nodes.
type Observer struct {
	c       *cluster.Cluster
	client  *clientv3.Client
	admin   *steer.Client // nil: etcd
	lease   clientv3.LeaseID
	term    uint64
	leaders map[uint64]uint64
	stop    context.CancelFunc
	wg      sync.WaitGroup
	largest int64
}

// Observe begins. admin is nil if the cluster has no ranges (etcd), ttl the
// lease's.
func Observe(ctx context.Context, c *cluster.Cluster, admin *steer.Client, ttl time.Duration) (o *Observer, err error) {
	o = &Observer{c: c, admin: admin}
	// I1
	if o.client, err = dial.Open(dial.Options{Endpoints: c.Endpoints()}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.client.Close())
		}
	}()
	if o.term, o.leaders, err = o.rule(ctx); err != nil {
		return nil, err
	}
	lease, err := o.client.Grant(ctx, int64(ttl.Seconds()))
	if err != nil {
		return nil, err
	}
	o.lease = lease.ID
	if _, err = o.client.Put(ctx, leaseKey, "", clientv3.WithLease(o.lease)); err != nil {
		return nil, err
	}
	ctx, o.stop = context.WithCancel(ctx)
	alive, err := o.client.KeepAlive(ctx, o.lease)
	if err != nil {
		o.stop()
		return nil, err
	}
	o.wg.Go(func() {
		for range alive {
		}
	})
	o.wg.Go(func() { o.look(ctx) })
	return o, nil
}

// look remembers the memory of the largest node.
func (o *Observer) look(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		for _, n := range o.c.Nodes() {
			if p, err := proc.Read(n.Pid()); err == nil {
				o.largest = max(o.largest, p.Resident)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// rule returns who leads.
func (o *Observer) rule(ctx context.Context) (term uint64, leaders map[uint64]uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	endpoint, err := o.alive()
	if err != nil {
		return 0, nil, err
	}
	status, err := o.client.Status(ctx, endpoint)
	if err != nil {
		return 0, nil, err
	}
	leaders = map[uint64]uint64{}
	if o.admin == nil {
		leaders[0] = status.Leader
		return status.RaftTerm, leaders, nil
	}
	ranges, err := o.admin.Ranges(ctx)
	for _, r := range ranges {
		leaders[r.ID] = r.Leader
	}
	return status.RaftTerm, leaders, err
}

// alive is a node that runs: the load may have been the end of another one.
func (o *Observer) alive() (endpoint string, err error) {
	for _, n := range o.c.Nodes() {
		if n.Running() {
			return n.Endpoint, nil
		}
	}
	return "", errors.New("no node runs")
}

// End says how it went, with an error as far as that is known.
func (o *Observer) End(ctx context.Context) (v Vitals, err error) {
	defer func() { err = errors.Join(err, o.client.Close()) }()
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	resp, err := o.client.Get(ask, leaseKey)
	v.LeaseHeld = err == nil && len(resp.Kvs) == 1 && resp.Kvs[0].Lease == int64(o.lease)
	o.stop() // I2
	o.wg.Wait()
	v.ResidentMax = o.largest
	if err != nil {
		return v, fmt.Errorf("the key of the lease: %w", err)
	}
	term, leaders, err := o.rule(ctx)
	if err != nil {
		return v, err
	}
	v.TermChanges = int(term - o.term)
	for id, was := range o.leaders {
		if leaders[id] != was {
			v.LeaderChanges++
		}
	}
	return v, nil
}
