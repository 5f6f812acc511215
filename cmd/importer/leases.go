package importer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

const (
	leaseEvery  = time.Second // leases of the source are compared so often
	leaseAtOnce = 16          // calls in flight
)

// leases keeps the target's leases those of the source (M4). A lease keeps its
// id and its granted TTL; how much of it has run is the target's own, at most
// all of it more than in the source.
type leases struct {
	from, to *clientv3.Client

	mu   sync.Mutex
	have map[clientv3.LeaseID]*lease // in the target
}

type lease struct {
	ttl   time.Duration
	renew time.Time // next keepalive
}

func newLeases(from, to *clientv3.Client) *leases {
	return &leases{from: from, to: to, have: map[clientv3.LeaseID]*lease{}}
}

// adopt takes over what is in the target already, of an earlier run: what the
// source revoked meanwhile goes with the first turn.
func (l *leases) adopt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := l.to.Leases(ctx)
	if err != nil {
		return fmt.Errorf("target: leases: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range all.Leases {
		l.have[t.ID] = &lease{} // due at once, which tells its TTL
	}
	return nil
}

// run compares and renews until ctx ends, which is no error. Failures pass: the
// next turn does it; for a minute they may last.
func (l *leases) run(ctx context.Context) error {
	tick := time.NewTicker(leaseEvery)
	defer tick.Stop()
	failing := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := l.sync(ctx)
		switch {
		case err == nil:
			failing = time.Time{}
		case ctx.Err() != nil:
			return nil
		case failing.IsZero():
			failing = time.Now()
		case time.Since(failing) > retryFor:
			return err
		}
	}
}

// sync grants what is new in the source, revokes what is gone there and renews
// what is due.
func (l *leases) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := l.from.Leases(ctx)
	if err != nil {
		return fmt.Errorf("source: leases: %w", err)
	}
	source := make(map[clientv3.LeaseID]bool, len(all.Leases))
	var g errgroup.Group
	g.SetLimit(leaseAtOnce)
	for _, s := range all.Leases {
		source[s.ID] = true
		g.Go(func() error {
			_, err := l.ensure(ctx, s.ID)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for id, due := range l.due(time.Now()) {
		switch {
		case !source[id]:
			g.Go(func() error { return l.revoke(ctx, id) })
		case due:
			g.Go(func() error { return l.keepAlive(ctx, id) })
		}
	}
	return g.Wait()
}

// due lists the target's leases, and which are to be renewed.
func (l *leases) due(now time.Time) map[clientv3.LeaseID]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make(map[clientv3.LeaseID]bool, len(l.have))
	for id, x := range l.have {
		list[id] = !now.Before(x.renew)
	}
	return list
}

// ensure grants the lease in the target unless it is there; false: the source
// does not have it any more.
func (l *leases) ensure(ctx context.Context, id clientv3.LeaseID) (bool, error) {
	l.mu.Lock()
	_, ok := l.have[id]
	l.mu.Unlock()
	if ok {
		return true, nil
	}
	info, err := l.from.TimeToLive(ctx, id)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) || err == nil && info.TTL <= 0 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("source: lease %x: %w", id, err)
	}
	// Granted by its id through the plain API: clientv3's Grant chooses ids.
	if err := grant(ctx, l.to, id, info.GrantedTTL); err != nil {
		return false, fmt.Errorf("target: lease %x: %w", id, err)
	}
	ttl := time.Duration(info.GrantedTTL) * time.Second
	l.mu.Lock()
	defer l.mu.Unlock()
	l.have[id] = &lease{ttl: ttl, renew: time.Now().Add(ttl / 3)}
	return true, nil
}

// forget makes ensure look again at everything.
func (l *leases) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.have)
}

func (l *leases) drop(id clientv3.LeaseID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.have, id)
}

func (l *leases) revoke(ctx context.Context, id clientv3.LeaseID) error {
	l.drop(id)
	_, err := l.to.Revoke(ctx, id)
	if err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return fmt.Errorf("target: revoke lease %x: %w", id, err)
}

func (l *leases) keepAlive(ctx context.Context, id clientv3.LeaseID) error {
	resp, err := l.to.KeepAliveOnce(ctx, id)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) || err == nil && resp.TTL <= 0 {
		l.drop(id) // granted again at the next turn
		return nil
	}
	if err != nil {
		return fmt.Errorf("target: renew lease %x: %w", id, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.have[id]; x != nil {
		x.ttl = time.Duration(resp.TTL) * time.Second
		x.renew = time.Now().Add(x.ttl / 3)
	}
	return nil
}
