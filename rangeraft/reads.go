package rangeraft

import (
	"bytes"
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// rangeView is one engine view of one range, with the floor that goes with it
// (P41).
type rangeView struct {
	*storage.View
	r      *Replica
	floor  proto.Revision
	index  proto.Index    // applied
	closed proto.Revision // at that index
}

// open takes a view of what is applied now.
func (r *Replica) open() (*rangeView, error) {
	v, err := r.s.opts.Engine.NewView()
	if err != nil {
		return nil, err
	}
	st, err := v.Applied(r.id)
	if err != nil {
		v.Close()
		return nil, err
	}
	return &rangeView{v, r, st.Floor, st.Index, st.Closed}, nil
}

// openOver is open for a span that the range must hold in the view (P21): since
// the replica was looked up a raft snapshot may have come, which narrows the range
// and takes away what is no longer its own, some time before the replica shows it.
func (r *Replica) openOver(span proto.Span) (*rangeView, error) {
	before := r.desc.Load()
	v, err := r.open()
	if err != nil {
		return nil, err
	}
	// A descriptor shows before the index that made it: it is the view's if
	// neither moved.
	same := r.published.Load().index == v.index && r.desc.Load() == before
	if same && proto.SpanOf(before.GetSpan()).Covers(span) {
		return v, nil
	}
	if err := holds(v.View, r.id, span); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// holds refuses a span that the range does not hold in a view.
func holds(v *storage.View, id proto.RangeID, span proto.Span) error {
	d, err := v.Descriptor(id)
	if err == nil && !proto.SpanOf(d.Span).Covers(span) {
		return proto.Mismatch(d)
	}
	return err
}

func (v *rangeView) close() {
	if err := v.View.Close(); err != nil {
		v.r.s.fault("close a view", err)
	}
}

// check refuses a revision below the floor: with etcd's answer if the client
// named it, else so that the gateway reads at a newer one.
func (v *rangeView) check(rev proto.Revision, anyFloor bool) error {
	if rev == 0 || rev == storage.Latest || rev >= v.floor {
		return nil
	}
	if anyFloor {
		return proto.BelowFloor(v.floor)
	}
	return proto.Answer(rpctypes.ErrGRPCCompacted)
}

func (r *Replica) doRead(ctx context.Context, op *pontoonpb.RangeOp, read *pontoonpb.ReadOp) *pontoonpb.RangeReply {
	rev := proto.Revision(read.ReadRevision)
	if at := proto.Revision(read.Request.GetRevision()); at > 0 {
		if at > rev && !read.Serializable {
			return refusal(proto.Answer(rpctypes.ErrGRPCFutureRev))
		}
		rev = at
	}
	span := proto.SpanOf(op.Span)
	var refused *pontoonpb.RangeError
	if read.Serializable {
		if r.servingTerm.Load() != 0 {
			r.load.countRead(span)
		}
		if r.closed() < rev {
			refused = &pontoonpb.RangeError{Code: pontoonpb.RangeErrorCode_STALE_CLOSED, LeaderNode: r.leaderNode.Load()}
		}
	} else {
		refused = r.gate(ctx, span, rev, read.Txn)
	}
	if refused != nil {
		return &pontoonpb.RangeReply{Error: refused}
	}
	if read.Txn != nil && read.Request.GetRevision() == 0 {
		rev = storage.Latest
	}
	if err := transport.TakePlace(ctx); err != nil {
		return refusal(err)
	}
	v, err := r.openOver(span)
	if err != nil {
		return refusal(err)
	}
	defer v.close()
	if err := v.check(rev, read.AnyFloor); err != nil {
		return refusal(err)
	}
	reply, err := v.read(span, read.Request, rev, read.CountExact, read.MaxBytes)
	if err != nil {
		return refusal(err)
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Read{Read: reply}}
}

// read answers the part of a range request inside span at rev.
func (v *rangeView) read(
	span proto.Span, req *pb.RangeRequest, rev proto.Revision, exact bool, maxBytes int64,
) (*pontoonpb.ReadReply, error) {
	part := partView{v: v, span: span, keysOnly: !etcdop.NeedsValue(req)}
	at := int64(rev)
	if rev == storage.Latest {
		at = 0
	}
	p, err := etcdop.Part(part, req, at, exact, maxBytes)
	if err != nil {
		return nil, err
	}
	return &pontoonpb.ReadReply{Kvs: p.Kvs, Count: p.Count, More: p.More, Revision: at, Next: p.Next}, nil
}

// partView is a view of a span's key-values at historic revisions. It knows
// nothing of leases or numbers, which reads never ask for.
type partView struct {
	v        *rangeView
	span     proto.Span
	keysOnly bool
}

func (p partView) clip(key, end []byte) proto.Span {
	return keys.UserRangeSpan(key, end).Intersect(p.span)
}

// Get implements etcdop.View.
func (p partView) Get(key []byte) (*mvccpb.KeyValue, error) {
	ver, ok, err := p.v.Get(keys.User(key), storage.Latest)
	if err != nil || !ok {
		return nil, err
	}
	return ver.KeyValue(), nil
}

// Scan implements etcdop.View. A single key is a point read.
func (p partView) Scan(key, end []byte, rev int64, fn func(*mvccpb.KeyValue) bool) error {
	if len(end) > 0 && !onlyKey(key, end) {
		return scanView(p.v.View, p.clip(key, end), proto.Revision(rev), p.keysOnly, fn)
	}
	k := keys.User(key)
	if !p.span.Contains(k) {
		return nil
	}
	ver, ok, err := p.v.Get(k, orLatest(proto.Revision(rev)))
	if err == nil && ok {
		fn(ver.KeyValue())
	}
	return err
}

// onlyKey reports whether [key, end) holds nothing but key, which is how a
// gateway says the part of a range request for one key.
func onlyKey(key, end []byte) bool {
	n := len(key)
	return len(end) == n+1 && end[n] == 0 && bytes.Equal(end[:n], key)
}

// Count implements etcdop.View.
func (p partView) Count(key, end []byte, rev int64) (int64, error) {
	return p.v.count(p.clip(key, end), orLatest(proto.Revision(rev)))
}

// LeaseUsable implements etcdop.View.
func (partView) LeaseUsable(proto.LeaseID, []byte) etcdop.LeaseState { return etcdop.LeaseUnknown }

// Floor implements etcdop.View.
func (partView) Floor() int64 { return int64(proto.NeverCompacted) }

// Seen implements etcdop.View.
func (partView) Seen() int64 { return 0 }

// readUnderLocks fills a lock's reads and lease keys from the latest applied
// state, which the locks keep as it is (P35, P37).
func (r *Replica) readUnderLocks(op *pontoonpb.RangeOp, lock *pontoonpb.LockOp, out *pontoonpb.LockReply) error {
	span := proto.SpanOf(op.Span)
	v, err := r.openOver(span)
	if err != nil {
		return err
	}
	defer v.close()
	out.CompactFloor = int64(v.floor)
	for _, req := range lock.Reads {
		rev := proto.Revision(req.Revision)
		if err := v.check(rev, true); err != nil {
			return err // not etcd's answer: an earlier operation may be refused first
		}
		read, err := v.read(span, req, orLatest(rev), true, 0)
		if err != nil {
			return err
		}
		out.Reads = append(out.Reads, read)
	}
	for _, l := range lock.Locks {
		if l.Mode != pontoonpb.LockMode_LOCK_LEASE {
			continue
		}
		kvs, err := v.leaseKeyValues(proto.SpanOf(l.Span), proto.LeaseID(l.Lease))
		if err != nil {
			return err
		}
		out.LeaseKeys = append(out.LeaseKeys, kvs...)
	}
	return nil
}

func (v *rangeView) leaseKeys(span proto.Span, lease proto.LeaseID) (found [][]byte, err error) {
	err = v.LeaseKeys(span, lease, func(key []byte, _ proto.LeaseID) (bool, error) {
		found = append(found, bytes.Clone(key))
		return true, nil
	})
	return found, err
}

func (v *rangeView) leaseKeyValues(span proto.Span, lease proto.LeaseID) ([]*mvccpb.KeyValue, error) {
	found, err := v.leaseKeys(span, lease)
	if err != nil {
		return nil, err
	}
	var kvs []*mvccpb.KeyValue
	for _, k := range found {
		ver, ok, err := v.Get(k, storage.Latest)
		if err != nil {
			return nil, err
		}
		if ok {
			kvs = append(kvs, ver.KeyValue())
		}
	}
	return kvs, nil
}

func (r *Replica) doLeaseKeys(ctx context.Context, op *pontoonpb.RangeOp, l *pontoonpb.LeaseKeysOp) *pontoonpb.RangeReply {
	span := proto.SpanOf(op.Span)
	if e := r.closedOrGate(ctx, span, proto.Revision(l.ReadRevision)); e != nil {
		return &pontoonpb.RangeReply{Error: e}
	}
	v, err := r.openOver(span)
	if err != nil {
		return refusal(err)
	}
	defer v.close()
	found, err := v.leaseKeys(span, proto.LeaseID(l.Lease))
	if err != nil {
		return refusal(err)
	}
	reply := &pontoonpb.LeaseKeysReply{}
	for _, k := range found {
		if user, ok := keys.UserKey(k); ok {
			reply.Keys = append(reply.Keys, user)
		}
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_LeaseKeys{LeaseKeys: reply}}
}

func (r *Replica) doSysRead(ctx context.Context, op *pontoonpb.RangeOp, sys *pontoonpb.SysReadOp) *pontoonpb.RangeReply {
	span := proto.SpanOf(op.Span)
	if e := r.prove(ctx, span); e != nil {
		return &pontoonpb.RangeReply{Error: e}
	}
	v, err := r.openOver(span)
	if err != nil {
		return refusal(err)
	}
	defer v.close()
	reply := &pontoonpb.SysReadReply{}
	err = v.Local(pontoonpb.Space_SPACE_SYS, span, func(rec storage.LocalRecord) (bool, error) {
		reply.Records = append(reply.Records, &pontoonpb.SysRecord{Key: bytes.Clone(rec.Key), Value: bytes.Clone(rec.Value)})
		return sys.Limit <= 0 || int64(len(reply.Records)) < sys.Limit, nil
	})
	if err != nil {
		return refusal(err)
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SysRead{SysRead: reply}}
}

func (r *Replica) doHash(ctx context.Context, op *pontoonpb.RangeOp, h *pontoonpb.HashOp) *pontoonpb.RangeReply {
	span, rev := proto.SpanOf(op.Span), proto.Revision(h.Revision)
	if e := r.closedOrGate(ctx, span, rev); e != nil {
		return &pontoonpb.RangeReply{Error: e}
	}
	v, err := r.openOver(span)
	if err != nil {
		return refusal(err)
	}
	defer v.close()
	if rev < v.floor {
		return refusal(proto.BelowFloor(v.floor))
	}
	// What is superseded at rev is left out: a compaction at rev may have dropped
	// it, and the hash at rev must stay what it was (P43).
	res, err := v.Hash(span, rev, rev)
	if err != nil {
		return refusal(err)
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Hash{Hash: &pontoonpb.HashReply{
		Hash: res.Hash, Floor: int64(v.floor), Versions: res.Versions}}}
}
