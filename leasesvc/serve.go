package leasesvc

import (
	"context"
	"time"

	"github.com/pontoon-kv/pontoon/leasesvc/lessor"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Serve answers LEASE_KEEPALIVE, LEASE_TTL and LEASE_LIST for a range that the
// node leads; a keepalive of a lease that is being revoked blocks until the
// outcome. The caller confirms its leadership before the answer leaves.
func (l *Lessor) Serve(ctx context.Context, id proto.RangeID, op *pontoonpb.LeaseOp) (*pontoonpb.LeaseReply, error) {
	switch op.Kind {
	case pontoonpb.LeaseOpKind_LEASE_KEEPALIVE:
		return l.keepAlive(ctx, id, proto.LeaseID(op.Id))
	case pontoonpb.LeaseOpKind_LEASE_TTL:
		return l.ttl(id, proto.LeaseID(op.Id))
	case pontoonpb.LeaseOpKind_LEASE_LIST:
		return l.list(id)
	}
	return nil, proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "lessor does not serve %v", op.Kind)
}

func (l *Lessor) keepAlive(ctx context.Context, id proto.RangeID, lease proto.LeaseID) (*pontoonpb.LeaseReply, error) {
	for {
		// Before the renewal: a revocation after it has a higher revision.
		rev := int64(l.opts.Seen())
		l.mu.Lock()
		r := l.ranges[id]
		if r == nil || !r.kernel.Span().Contains(keys.Lease(lease)) {
			l.mu.Unlock()
			return nil, proto.NotLeader(0)
		}
		s, outcome, checkpointed := r.kernel.Renew(time.Now(), lease)
		var end <-chan struct{}
		if outcome == lessor.Wait {
			end = r.outcome(lease)
		}
		l.mu.Unlock()

		switch outcome {
		case lessor.Unknown:
			return &pontoonpb.LeaseReply{Revision: rev}, nil
		case lessor.Renewed:
			if checkpointed {
				if err := l.clearCheckpoint(ctx, s.Record); err != nil {
					return nil, err
				}
			}
			l.metrics.renewed.Inc()
			return &pontoonpb.LeaseReply{
				Record: s.Record, TtlSeconds: s.Record.TtlSeconds, Renewals: s.Renewals, Revision: rev,
			}, nil
		}
		select { // (P39)
		case <-end:
		case <-ctx.Done():
			return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "lease %x is being revoked", int64(lease))
		}
	}
}

func (l *Lessor) ttl(id proto.RangeID, lease proto.LeaseID) (*pontoonpb.LeaseReply, error) {
	rev := int64(l.opts.Seen())
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.ranges[id]
	if r == nil || !r.kernel.Span().Contains(keys.Lease(lease)) {
		return nil, proto.NotLeader(0)
	}
	s, ok := r.kernel.Status(time.Now(), lease)
	if !ok {
		return &pontoonpb.LeaseReply{TtlSeconds: -1, Revision: rev}, nil
	}
	return &pontoonpb.LeaseReply{Record: s.Record, TtlSeconds: s.Seconds(), Renewals: s.Renewals, Revision: rev}, nil
}

func (l *Lessor) list(id proto.RangeID) (*pontoonpb.LeaseReply, error) {
	rev := int64(l.opts.Seen())
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.ranges[id]
	if r == nil {
		return nil, proto.NotLeader(0)
	}
	reply := &pontoonpb.LeaseReply{Revision: rev}
	for _, s := range r.kernel.List(time.Now()) {
		reply.Leases = append(reply.Leases, &pontoonpb.LeaseRecord{
			Id: s.Record.Id, TtlSeconds: s.Record.TtlSeconds, RemainingSeconds: s.Seconds(),
			Incarnation: s.Record.Incarnation,
		})
	}
	return reply, nil
}

// clearCheckpoint writes that a lease has its full TTL again. Until the log
// says so the next leader would give it less, so the renewal waits (I3).
func (l *Lessor) clearCheckpoint(ctx context.Context, r *pontoonpb.LeaseRecord) error {
	return l.checkpoint(ctx, keys.Point(keys.Lease(proto.LeaseID(r.Id))), []*pontoonpb.LeaseRecord{
		{Id: r.Id, Incarnation: r.Incarnation},
	})
}

func (l *Lessor) checkpoint(ctx context.Context, span proto.Span, records []*pontoonpb.LeaseRecord) error {
	_, err := sendLease(ctx, l.opts.Sender, span, &pontoonpb.LeaseOp{
		Kind: pontoonpb.LeaseOpKind_LEASE_CHECKPOINT, Checkpoints: records,
	})
	return err
}

// sendLease sends an operation on leases and returns the answer.
func sendLease(ctx context.Context, s Sender, span proto.Span, op *pontoonpb.LeaseOp) (*pontoonpb.LeaseReply, error) {
	reply, err := s.Send(ctx, &pontoonpb.RangeOp{
		Span: span.Wire(),
		Op:   &pontoonpb.RangeOp_Lease{Lease: op},
	})
	if err != nil {
		return nil, err
	}
	if err := proto.FromWire(reply.GetError()); err != nil {
		return nil, err
	}
	return reply.GetLease(), nil
}
