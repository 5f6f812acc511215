package leasesvc

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/leasesvc/lessor"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	checkpointTick  = 5 * time.Second
	checkpointBatch = 1000
)

// Start spawns the expiry goroutines.
func (l *Lessor) Start() {
	l.wg.Go(l.watchTime)
	for range l.opts.InFlight {
		l.wg.Go(l.revokeExpired)
	}
}

// Close stops expiring and ends what waits.
func (l *Lessor) Close() {
	l.cancel()
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.ranges {
		l.drop(id)
	}
}

// watchTime looks for leases whose time is over.
func (l *Lessor) watchTime() {
	t := time.NewTicker(l.opts.TickInterval)
	defer t.Stop()
	var checkpointed time.Time
	for {
		select {
		case now := <-t.C:
			l.queueDue(now)
			if l.opts.CheckpointInterval > 0 && now.Sub(checkpointed) >= checkpointTick {
				checkpointed = now
				l.writeCheckpoints(now)
			}
		case <-l.ctx.Done():
			return
		}
	}
}

// queueDue hands over what is due, as much as a tick may bring and the workers
// can take. The rest stays due.
func (l *Lessor) queueDue(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	perTick := int(float64(l.opts.RevokeRate) * l.opts.TickInterval.Seconds())
	room := min(max(perTick, 1), cap(l.expired)-len(l.expired))
	for _, r := range l.ranges {
		for _, e := range r.kernel.Due(now, room) {
			l.expired <- e // there is room, and nobody else sends
			room--
		}
	}
}

// revokeExpired carries out expiries, one at a time.
func (l *Lessor) revokeExpired() {
	for {
		select {
		case e := <-l.expired:
			l.revoke(e)
		case <-l.ctx.Done():
			return
		}
	}
}

func (l *Lessor) revoke(e lessor.Expiry) {
	ctx, cancel := context.WithTimeout(l.ctx, l.opts.RevokeTimeout)
	defer cancel()
	_, err := l.opts.Revoker.RevokeLease(ctx, e.ID, uint64(e.Term), e.Renewals)
	switch {
	case err == nil:
		l.metrics.expired.Inc()
		l.opts.Logger.Debug("lease expired", "lease", int64(e.ID))
	case proto.HasCode(err, pontoonpb.RangeErrorCode_LEASE_CHANGED), isLeaseNotFound(err):
		// Renewed, moved to another leader, or gone: nothing is left to do.
	default:
		// It comes due again.
		l.metrics.failed.Inc()
		l.opts.Logger.Warn("expired lease not revoked", "lease", int64(e.ID), "err", err)
	}
}

// writeCheckpoints writes remaining TTLs down, range by range.
func (l *Lessor) writeCheckpoints(now time.Time) {
	type batch struct {
		span    proto.Span
		records []*pontoonpb.LeaseRecord
	}
	var batches []batch
	l.mu.Lock()
	for _, r := range l.ranges {
		if list := r.kernel.Checkpoints(now, checkpointBatch); len(list) > 0 {
			batches = append(batches, batch{r.kernel.Span(), list})
		}
	}
	l.mu.Unlock()
	for _, b := range batches {
		ctx, cancel := context.WithTimeout(l.ctx, l.opts.RevokeTimeout)
		if err := l.checkpoint(ctx, b.span, b.records); err != nil {
			l.opts.Logger.Warn("remaining lease time not written", "leases", len(b.records), "err", err)
		}
		cancel()
	}
}

// isLeaseNotFound recognises etcd's answer in both its forms.
func isLeaseNotFound(err error) bool {
	return err != nil && rpctypes.ErrorDesc(proto.ClientError(err)) == rpctypes.ErrorDesc(rpctypes.ErrGRPCLeaseNotFound)
}
