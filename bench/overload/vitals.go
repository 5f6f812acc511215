package overload

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

// Vitals are what must not suffer whatever is asked.
type Vitals struct {
	LeaseHeld     bool  `json:"lease_held"`     // and its key is there
	LeaderChanges int   `json:"leader_changes"` // ranges with another leader at the end
	TermChanges   int   `json:"term_changes"`   // of the root range, or of etcd's group
	ResidentMax   int64 `json:"resident_max"`   // bytes, of the largest node
}

const (
	lookEvery = 200 * time.Millisecond
	leaseKey  = "overload-lease"
	// askLimit bounds what is asked before and after, when nothing is overloaded.
	askLimit = 30 * time.Second
)

// observer looks after a lease and at the nodes while they are overloaded.
type observer struct {
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

// observe begins. The lease has a client of its own, with the other's connections
// busy it would tell of them.
func observe(ctx context.Context, c *cluster.Cluster, admin *steer.Client, ttl time.Duration) (o *observer, err error) {
	o = &observer{c: c, admin: admin}
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
func (o *observer) look(ctx context.Context) {
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
func (o *observer) rule(ctx context.Context) (term uint64, leaders map[uint64]uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	status, err := o.client.Status(ctx, o.c.Endpoints()[0])
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

// end says how it went. Whether the lease is held is asked before anybody stops
// renewing it.
func (o *observer) end(ctx context.Context) (v Vitals, err error) {
	defer func() { err = errors.Join(err, o.client.Close()) }()
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	resp, err := o.client.Get(ask, leaseKey)
	v.LeaseHeld = err == nil && len(resp.Kvs) == 1 && resp.Kvs[0].Lease == int64(o.lease)
	o.stop()
	o.wg.Wait()
	if err != nil {
		return v, fmt.Errorf("the key of the lease: %w", err)
	}
	v.ResidentMax = o.largest
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
