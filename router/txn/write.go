package txn

import (
	"bytes"
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// write is the intent of a client's operation on user keys.
type write struct {
	op     *pb.RequestOp
	path   etcdop.Path    // locked for; nil for both branches or no txn
	floor  proto.Revision // with seen what of history is readable, if any is named
	seen   proto.Revision
	chosen etcdop.Path // what the compares under lock chose
}

func (w *write) anchorOp(*pontoonpb.LockOp)                        {}
func (w *write) extend(*pontoonpb.LockReply) ([]proto.Span, error) { return nil, nil }
func (w *write) further([]*pontoonpb.Descriptor) []*group          { return nil }

// accesses are what the attempt locks.
func (w *write) accesses() []etcdop.Access {
	if w.op.GetRequestTxn() == nil || w.path == nil {
		return etcdop.Footprint(w.op)
	}
	return etcdop.FootprintOf(w.op, w.path)
}

// decide runs the operation over the locked state. Nothing can change under
// the locks, so the outcome holds for the revision that the commit takes.
func (w *write) decide(gs []*group) decision {
	v, ok := newLockedView(gs)
	if !ok {
		return decision{again: true}
	}
	v.floor = max(v.floor, int64(w.floor))
	if w.seen > 0 {
		v.seen = int64(w.seen) // what is above it was not read, even if it exists by now
	}
	v.leases = func(lease proto.LeaseID, key []byte) etcdop.LeaseState { return leaseState(gs, lease, key) }
	if t := w.op.GetRequestTxn(); t != nil {
		path, err := etcdop.ChoosePath(v, t)
		if err != nil {
			return decision{err: err}
		}
		w.chosen = path
		if w.path != nil && !slices.Equal(path, w.path) {
			return decision{again: true} // the other branch is not locked (P33)
		}
	}
	r, err := etcdop.Eval(v, etcdop.Placeholder, w.op)
	switch e := err.(type) {
	case nil:
	case *etcdop.NeedLease:
		return decision{again: true} // register and lock anew
	case *etcdop.NeedSeen:
		// Checked against a read revision before locking; a number granted
		// since then does not make it answerable at this point.
		return decision{err: rpctypes.ErrGRPCFutureRev}
	default:
		return decision{err: e}
	}
	return decision{
		effects: r.Effects,
		number:  r.Mutates,
		respond: func(number int64) *pb.ResponseOp {
			r.Bind(number)
			return r.Response
		},
	}
}

// leaseState answers from the lease record that this txn holds locked: it
// exists, and its home knows that the key's range may hold keys of it (P37).
func leaseState(gs []*group, lease proto.LeaseID, key []byte) etcdop.LeaseState {
	record := keys.Lease(lease)
	for _, g := range gs {
		if !bytes.Equal(g.hull.Start, record) {
			continue
		}
		if g.reply.Lease == nil {
			return etcdop.LeaseNo
		}
		for _, s := range g.reply.Lease.Registered {
			if proto.SpanOf(s).Contains(keys.User(key)) {
				return etcdop.LeaseYes
			}
		}
	}
	return etcdop.LeaseUnknown
}

// registerLeases makes the home of every lease know the ranges of the keys
// that the operation attaches to it. An unknown lease is left for the
// evaluation under lock to find.
func (c *Coordinator) registerLeases(ctx context.Context, accesses []etcdop.Access, descs []*pontoonpb.Descriptor) error {
	type registration struct {
		lease proto.LeaseID
		rng   uint64
	}
	done := make(map[registration]bool)
	for _, a := range accesses {
		if a.Lease == 0 {
			continue
		}
		for _, d := range descs {
			r := registration{a.Lease, d.RangeId}
			if !proto.SpanOf(d.Span).Contains(a.Span.Start) || done[r] {
				continue
			}
			done[r] = true
			span := proto.SpanOf(d.Span).Intersect(keys.UserSpan)
			if _, _, err := c.leases.Register(ctx, a.Lease, span); err != nil {
				return err
			}
		}
	}
	return nil
}
