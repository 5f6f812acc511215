package robust

import (
	"context"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/verify"
)

// leaseUser grants, renews, revokes and abandons leases of one client.
type leaseUser struct {
	kv  *clientv3.Client
	rec *recorder
	rng *rand.Rand

	id       int64 // 0: none
	index    int   // of its record
	renewals int   // left until it is revoked or abandoned
}

const leaseTTL = 3 // seconds

// current returns the lease to attach keys to, 0 for none.
func (u *leaseUser) current() int64 { return u.id }

// step does the next thing with leases; false if there was nothing to do.
func (u *leaseUser) step(ctx context.Context) bool {
	switch {
	case u.id == 0:
		u.grant(ctx)
	case u.renewals > 0:
		u.renewals--
		u.renew(ctx)
	case u.rng.IntN(2) == 0:
		u.revoke(ctx)
	default:
		u.id = 0 // left to expire
		return false
	}
	return true
}

func (u *leaseUser) grant(ctx context.Context) {
	call := u.rec.now()
	resp, err := u.kv.Grant(ctx, leaseTTL)
	if err != nil {
		return // if it was granted, nobody knows its id and no key gets it
	}
	u.id, u.renewals = int64(resp.ID), u.rng.IntN(6)
	u.index = u.rec.addLease(verify.Lease{
		ID: u.id, TTL: time.Duration(resp.TTL) * time.Second,
		Renewals: []verify.Span{{Call: call, Return: u.rec.now()}},
	})
}

func (u *leaseUser) renew(ctx context.Context) {
	call := u.rec.now()
	resp, err := u.kv.KeepAliveOnce(ctx, clientv3.LeaseID(u.id))
	if err != nil || resp.TTL <= 0 {
		if err != nil && !refusal(err) {
			return // not known; the next step tries again
		}
		u.id = 0
		return
	}
	ret := u.rec.now()
	u.rec.lease(u.index, func(l *verify.Lease) {
		l.Renewals = append(l.Renewals, verify.Span{Call: call, Return: ret})
	})
}

func (u *leaseUser) revoke(ctx context.Context) {
	call := u.rec.now()
	u.rec.lease(u.index, func(l *verify.Lease) { l.Revoke = &verify.Span{Call: call} })
	_, err := u.kv.Revoke(ctx, clientv3.LeaseID(u.id))
	if err == nil {
		ret := u.rec.now()
		u.rec.lease(u.index, func(l *verify.Lease) { l.Revoke = &verify.Span{Call: call, Return: ret} })
	}
	u.id = 0
}
