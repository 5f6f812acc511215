package diff

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	// expireTTL is the TTL of leases that are let expire: the least that both sides
	// grant with their electionTimeout.
	expireTTL = 5
	// expireWithin is how long after its TTL a lease may still be there.
	expireWithin = 15 * time.Second
	// expirePoll is how often the runner looks whether it has gone.
	expirePoll = 50 * time.Millisecond
)

// grant grants a lease on both sides. When the server picks the id, each side's id
// stands for one symbol from here on. It returns the id or symbol, 0 if refused.
func (r *Runner) grant(ctx context.Context, o Op, req *pb.LeaseGrantRequest) (int64, *Difference) {
	oracle, subject := r.ask(ctx, o, req)
	for _, side := range []struct {
		s *side
		a *answer
	}{{r.oracle, &oracle}, {r.subject, &subject}} {
		m, ok := side.a.msg.(*pb.LeaseGrantResponse)
		if !ok || !side.a.ok() || req.ID != 0 {
			continue
		}
		if m.ID <= 0 {
			side.a.note = fmt.Sprintf("picked the lease id %d", m.ID)
			continue
		}
		side.s.bindLease(Lease(o.N), m.ID)
		m.ID = Lease(o.N)
	}
	diff := r.judge(o, req, oracle, subject)
	if diff != nil || !oracle.ok() {
		return 0, diff
	}
	return oracle.msg.(*pb.LeaseGrantResponse).ID, nil
}

// flash grants a lease whose TTL may be too short for the steps that follow, and
// revokes it at once.
func (r *Runner) flash(ctx context.Context, o Op, req *pb.LeaseGrantRequest) *Difference {
	id, diff := r.grant(ctx, o, req)
	if diff != nil || id == 0 {
		return diff
	}
	revoke := Op{Kind: KindRevoke, Gateway: o.Gateway + 1, As: o.As, Msg: &pb.LeaseRevokeRequest{ID: id}}
	_, diff = r.both(ctx, revoke, revoke.Msg)
	return diff
}

// expire grants a lease, attaches keys all over the keyspace, and waits until it has
// expired on both sides: all keys gone, in one revision.
func (r *Runner) expire(ctx context.Context, o Op, req *pb.LeaseGrantRequest) (*Difference, error) {
	req.TTL = expireTTL
	began := time.Now()
	id, diff := r.grant(ctx, o, req)
	if diff != nil || id == 0 {
		return diff, nil
	}
	txn := &pb.TxnRequest{}
	for i := range min(o.N, len(keys)) {
		put := &pb.PutRequest{Key: keys[i*expireStride%len(keys)], Value: []byte("expires"), Lease: id}
		txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
	}
	attach := Op{Kind: KindTxn, Gateway: o.Gateway + 1, Msg: txn}
	if _, diff := r.both(ctx, attach, txn); diff != nil {
		return diff, nil
	}
	want := r.state.Now
	if len(txn.Success) > 0 {
		want++
	}
	for _, s := range []*side{r.oracle, r.subject} {
		if what := s.awaitExpiry(ctx, o, id, want, began); what != "" {
			return r.differ(o, req, s.Name+": "+what, "", ""), nil
		}
	}
	ttl := Op{Kind: KindTTL, Gateway: o.Gateway, Msg: &pb.LeaseTimeToLiveRequest{ID: id, Keys: true}}
	if _, diff := r.both(ctx, ttl, ttl.Msg); diff != nil {
		return diff, nil
	}
	return r.barrier(ctx, Op{Kind: KindBarrier, Gateway: o.Gateway, Msg: o.Msg})
}

// awaitExpiry waits until a lease is gone and the store is at revision want. It
// returns what is wrong, if anything.
func (s *side) awaitExpiry(ctx context.Context, o Op, id, want int64, began time.Time) string {
	ctx, cancel := context.WithTimeout(ctx, expireTTL*time.Second+expireWithin)
	defer cancel()
	tick := time.NewTicker(expirePoll)
	defer tick.Stop()
	for {
		ttl := s.call(ctx, Op{Kind: KindTTL, Gateway: o.Gateway}, &pb.LeaseTimeToLiveRequest{ID: id})
		read := s.call(ctx, Op{Kind: KindRange, Gateway: o.Gateway}, &pb.RangeRequest{Key: []byte{0}})
		if !ttl.ok() || !read.ok() {
			return fmt.Sprintf("while a lease expires: %s / %s", ttl, read)
		}
		gone, rev := ttl.msg.(*pb.LeaseTimeToLiveResponse).TTL < 0, headerRevision(read)
		switch {
		case rev > want:
			return fmt.Sprintf("revision %d after an expiry that should lead to %d", rev, want)
		case gone && time.Since(began) < expireTTL*time.Second:
			return fmt.Sprintf("a lease of %d s expired after %s", expireTTL, time.Since(began))
		case gone && rev == want:
			return ""
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Sprintf("a lease of %d s has not expired after %s: %s, revision %d", expireTTL, time.Since(began), brief(ttl.msg), rev)
		}
	}
}
