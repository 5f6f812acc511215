package alarm

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// GateOptions configure a Gate.
type GateOptions struct {
	Board *Board
	Room  Room
	Node  proto.NodeID // in whose name a full store is reported
	// MaxTxnOps is the largest number of operations of a txn, to tell what is
	// refused for its own fault.
	MaxTxnOps int
}

// Gate refuses requests that an alarm forbids.
type Gate struct{ opts GateOptions }

// NewGate returns a gate.
func NewGate(opts GateOptions) *Gate { return &Gate{opts} }

// refusal says why a change with a cost (0: it needs no room) must not happen
// under the alarms s, or that this node's store is full.
func (g *Gate) refusal(ctx context.Context, s *Set, cost int64) error {
	switch {
	case s.Raised(pb.AlarmType_CORRUPT):
		return rpctypes.ErrGRPCCorrupt
	case cost > 0 && s.Raised(pb.AlarmType_NOSPACE):
		return rpctypes.ErrGRPCNoSpace
	case cost > 0 && g.opts.Room.Full(cost):
		return g.full(ctx)
	}
	return nil
}

// full raises the alarm of a full store. Answered like this even if nobody could
// be told: the quota is checked again at the next request (I4).
func (g *Gate) full(ctx context.Context) error {
	if err := g.opts.Board.Raise(ctx, g.opts.Node, pb.AlarmType_NOSPACE); err != nil {
		g.opts.Board.log.Warn("NOSPACE not raised", "error", err)
	}
	return rpctypes.ErrGRPCNoSpace
}

// allow returns the alarms that a change is allowed under. What the ones at hand
// refuse is checked again if there are newer ones: they may have been cleared
// just before.
func (g *Gate) allow(ctx context.Context, cost int64) (s *Set, refused, err error) {
	if s, err = g.opts.Board.Current(ctx); err != nil {
		return nil, nil, err
	}
	if refused = g.refusal(ctx, s, cost); refused == nil {
		return s, nil, nil
	}
	newer, err := g.opts.Board.confirmed(ctx)
	if err != nil || newer.epoch == s.epoch {
		return s, refused, nil
	}
	return newer, g.refusal(ctx, newer, cost), nil
}

// change runs a change under the alarms that it was checked under (I2, P9). What is
// wrong with the request itself is said first, by valid.
func change[Resp any](ctx context.Context, g *Gate, cost int64, valid func() error, run func(context.Context) (Resp, error)) (none Resp, err error) {
	s, refused, err := g.allow(ctx, cost)
	if err != nil {
		return none, err
	}
	if refused != nil {
		if err := valid(); err != nil {
			return none, err
		}
		return none, refused
	}
	if auth, ok := proto.AuthChecked(ctx); ok {
		ctx = proto.WithAuthChecked(ctx, auth+s.epoch)
	}
	return run(ctx)
}

// Admit checks a client's operation where it is led: the store there may be
// full while that of its gateway is not.
func (g *Gate) Admit(ctx context.Context, op *pontoonpb.RangeOp) error {
	cost := opCost(op.GetWrite().GetRequest())
	if cost == 0 || op.AuthChecked == 0 || !g.opts.Room.Full(cost) {
		return nil
	}
	return proto.Answer(g.full(ctx))
}

func unchecked() error { return nil }

// KV is a KV service behind a gate.
type KV struct {
	pb.KVServer
	gate *Gate
}

// KV returns kv gated.
func (g *Gate) KV(kv pb.KVServer) *KV { return &KV{kv, g} }

// Put implements etcdserverpb.KVServer.
func (s *KV) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	return change(ctx, s.gate, putCost(r), func() error { return etcdop.CheckPut(r) },
		func(ctx context.Context) (*pb.PutResponse, error) { return s.KVServer.Put(ctx, r) })
}

// DeleteRange implements etcdserverpb.KVServer.
func (s *KV) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	return change(ctx, s.gate, 0, func() error { return etcdop.CheckDelete(r) },
		func(ctx context.Context) (*pb.DeleteRangeResponse, error) { return s.KVServer.DeleteRange(ctx, r) })
}

// Txn implements etcdserverpb.KVServer.
func (s *KV) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if etcdop.ReadOnly(r) {
		return s.KVServer.Txn(ctx, r)
	}
	return change(ctx, s.gate, txnCost(r), func() error { return etcdop.CheckTxn(r, s.gate.opts.MaxTxnOps) },
		func(ctx context.Context) (*pb.TxnResponse, error) { return s.KVServer.Txn(ctx, r) })
}

// Compact implements etcdserverpb.KVServer. It takes no number, so the alarms
// are confirmed first.
func (s *KV) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	if _, err := s.gate.opts.Board.confirmed(ctx); err != nil {
		return nil, err
	}
	return change(ctx, s.gate, 0, unchecked,
		func(ctx context.Context) (*pb.CompactionResponse, error) { return s.KVServer.Compact(ctx, r) })
}

// Lease is a Lease service behind a gate.
type Lease struct {
	pb.LeaseServer
	gate *Gate
}

// Lease returns leases gated.
func (g *Gate) Lease(leases pb.LeaseServer) *Lease { return &Lease{leases, g} }

// LeaseGrant implements etcdserverpb.LeaseServer. A grant takes no number: one
// that an alarm overtook is answered as refused, although the lease is there
// until it expires. etcd's quota does the same.
func (s *Lease) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	resp, err := change(ctx, s.gate, leaseCost, unchecked,
		func(ctx context.Context) (*pb.LeaseGrantResponse, error) { return s.LeaseServer.LeaseGrant(ctx, r) })
	if err != nil || s.gate.opts.Board.fresh() {
		return resp, err
	}
	now, err := s.gate.opts.Board.Current(ctx)
	if err == nil {
		err = s.gate.refusal(ctx, now, leaseCost)
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// LeaseRevoke implements etcdserverpb.LeaseServer.
func (s *Lease) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	return change(ctx, s.gate, 0, unchecked,
		func(ctx context.Context) (*pb.LeaseRevokeResponse, error) { return s.LeaseServer.LeaseRevoke(ctx, r) })
}
