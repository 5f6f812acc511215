package txn

import (
	"bytes"
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// revoke is the intent of deleting a lease and all keys attached to it (P37).
// The anchor is the lease record; which ranges hold keys is known only once it
// is locked, since the lock stops registrations.
type revoke struct {
	lease          proto.LeaseID
	expireTerm     uint64 // > 0: an expiry, valid for this leader term ...
	expireRenewals uint64 // ... and renewal count (P39)

	registered []proto.Span
}

func (r *revoke) record() proto.Span { return keys.Point(keys.Lease(r.lease)) }

func (r *revoke) anchorOp(op *pontoonpb.LockOp) {
	op.RevokeLease, op.ExpireTerm, op.ExpireRenewals = int64(r.lease), r.expireTerm, r.expireRenewals
}

func (r *revoke) extend(anchor *pontoonpb.LockReply) ([]proto.Span, error) {
	if anchor.Lease == nil {
		return nil, rpctypes.ErrGRPCLeaseNotFound
	}
	spans := make([]proto.Span, 0, len(anchor.Lease.Registered))
	for _, s := range anchor.Lease.Registered {
		spans = append(spans, proto.SpanOf(s))
	}
	r.registered = union(spans)
	return r.registered, nil
}

func (r *revoke) further(descs []*pontoonpb.Descriptor) []*group {
	var ts []target
	for _, s := range r.registered {
		ts = append(ts, target{span: s, mode: pontoonpb.LockMode_LOCK_LEASE, lease: r.lease})
	}
	return groups(ts, descs)
}

// decide deletes the record, and the keys in key order as one revision. Without
// keys no revision is taken. Registrations are each range's own: they end with
// the lease lock that commits.
func (r *revoke) decide(gs []*group) decision {
	effects := []*pontoonpb.Effect{{
		Kind: pontoonpb.EffectKind_EFFECT_LOCAL_DELETE, Space: pontoonpb.Space_SPACE_SYS, Key: keys.Lease(r.lease),
	}}
	var attached []*mvccpb.KeyValue
	for _, g := range gs[1:] {
		attached = append(attached, g.reply.LeaseKeys...)
	}
	slices.SortFunc(attached, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
	for i, kv := range attached {
		effects = append(effects, &pontoonpb.Effect{
			Kind: pontoonpb.EffectKind_EFFECT_DELETE, Key: keys.User(kv.Key),
			Rev: etcdop.Placeholder, Sub: int64(i), PrevLease: int64(r.lease), Fresh: true,
		})
	}
	return decision{
		effects: effects,
		number:  len(attached) > 0,
		respond: func(int64) *pb.ResponseOp { return nil },
	}
}

// RevokeLease deletes a lease and every key attached to it in one revision,
// which it returns; without keys the returned revision is a read revision.
// expireTerm > 0 makes it an expiry, refused with LEASE_CHANGED if the home's
// term or the renewal count differs (P39). Unknown leases are
// rpctypes.ErrGRPCLeaseNotFound.
func (c *Coordinator) RevokeLease(ctx context.Context, id proto.LeaseID, expireTerm, expireRenewals uint64) (proto.Revision, error) {
	_, rev, err := c.retry(ctx, func(ctx context.Context, wait bool) (*Kernel, error) {
		r := &revoke{lease: id, expireTerm: expireTerm, expireRenewals: expireRenewals}
		descs, err := c.sender.Cover(ctx, r.record())
		if err != nil {
			return nil, err
		}
		gs := groups([]target{{span: r.record(), mode: pontoonpb.LockMode_LOCK_WRITE}}, descs)
		return newKernel(c.newID(), r, gs, wait), nil
	})
	switch {
	case codeOf(err) == pontoonpb.RangeErrorCode_ETCD:
		return 0, proto.ClientError(err)
	case err != nil || rev > 0:
		return rev, err
	}
	read, err := c.sequencer.ReadRevision(ctx)
	return read.Revision, err
}

// union merges overlapping and adjacent spans, in key order.
func union(spans []proto.Span) []proto.Span {
	slices.SortFunc(spans, func(a, b proto.Span) int { return bytes.Compare(a.Start, b.Start) })
	var out []proto.Span
	for _, s := range spans {
		if n := len(out); n > 0 && bytes.Compare(s.Start, out[n-1].End) <= 0 {
			out[n-1] = join(out[n-1], s)
			continue
		}
		out = append(out, s)
	}
	return out
}
