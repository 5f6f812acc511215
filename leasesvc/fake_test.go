package leasesvc

import (
	"context"
	"slices"
	"sync"
	"time"

	etcdpb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	pb "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// ranges stands for the ranges of a cluster: lease ranges with records in
// front of a Lessor, user ranges with attached keys.
type ranges struct {
	lessor *Lessor

	mu      sync.Mutex
	descs   []*pontoonpb.Descriptor
	stale   []*pontoonpb.Descriptor // what Cover says once, before descs
	records map[int64]*pontoonpb.LeaseRecord
	keys    map[int64][]string // user keys by lease
	down    error              // answer of the lease ranges, nil: they serve
	revoked []int64
	revoke  func(id int64, term, renewals uint64) error
	sent    []*pontoonpb.RangeOp
	hold    chan struct{} // registrations wait for it
	rev     proto.Revision
	readErr error
}

func newRanges(splits ...[]byte) *ranges {
	r := &ranges{records: map[int64]*pontoonpb.LeaseRecord{}, keys: map[int64][]string{}, rev: 10}
	r.descs = cut(append([][]byte{keys.LeaseSpan.Start, keys.UserSpan.Start}, splits...))
	r.lessor = NewLessor(LessorOptions{Revoker: r, Sender: r, Seen: r.Seen})
	for _, d := range r.descs {
		if keys.LeaseSpan.Covers(proto.SpanOf(d.Span)) {
			r.lessor.Gained(proto.RangeID(d.RangeId), 3, proto.SpanOf(d.Span), nil)
		}
	}
	return r
}

func cut(starts [][]byte) []*pontoonpb.Descriptor {
	slices.SortFunc(starts, func(a, b []byte) int { return slices.Compare(a, b) })
	var descs []*pontoonpb.Descriptor
	for i, s := range starts {
		end := keys.Max
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		descs = append(descs, &pontoonpb.Descriptor{RangeId: uint64(i + 2), Span: proto.Span{Start: s, End: end}.Wire()})
	}
	return descs
}

func (r *ranges) Seen() proto.Revision { return r.rev - 1 }

func (r *ranges) ReadRevision(ctx context.Context) (proto.Revision, error) {
	if r.readErr != nil {
		<-ctx.Done()
		return 0, r.readErr
	}
	return r.rev, nil
}

func (r *ranges) Header(rev proto.Revision) *etcdpb.ResponseHeader {
	return &etcdpb.ResponseHeader{Revision: int64(rev)}
}

func (r *ranges) Cover(_ context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.descs
	if r.stale != nil {
		from, r.stale = r.stale, nil
	}
	var list []*pontoonpb.Descriptor
	for _, d := range from {
		if proto.SpanOf(d.Span).Overlaps(span) {
			list = append(list, d)
		}
	}
	return list, nil
}

func (r *ranges) Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	r.mu.Lock()
	r.sent = append(r.sent, op)
	hold := r.hold
	span := proto.SpanOf(op.Span)
	var desc *pontoonpb.Descriptor
	for _, d := range r.descs {
		if proto.SpanOf(d.Span).Contains(span.Start) {
			desc = d
		}
	}
	down := r.down
	r.mu.Unlock()
	if !proto.SpanOf(desc.Span).Covers(span) {
		return &pontoonpb.RangeReply{Error: proto.ToWire(proto.Mismatch(desc))}, nil
	}
	if l := op.GetLeaseKeys(); l != nil {
		return r.leaseKeys(span, l), nil
	}
	if down != nil {
		return nil, down
	}
	if hold != nil && op.GetLease().Kind == pontoonpb.LeaseOpKind_LEASE_REGISTER {
		<-hold
	}
	reply, err := r.lease(ctx, proto.RangeID(desc.RangeId), op.GetLease())
	if err != nil {
		return &pontoonpb.RangeReply{Error: proto.ToWire(err)}, nil
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Lease{Lease: reply}}, nil
}

func (r *ranges) leaseKeys(span proto.Span, op *pontoonpb.LeaseKeysOp) *pontoonpb.RangeReply {
	r.mu.Lock()
	defer r.mu.Unlock()
	reply := &pontoonpb.LeaseKeysReply{}
	for _, k := range r.keys[op.Lease] {
		if span.Contains(keys.User([]byte(k))) {
			reply.Keys = append(reply.Keys, []byte(k))
		}
	}
	slices.Reverse(reply.Keys) // no order is promised
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_LeaseKeys{LeaseKeys: reply}}
}

// lease is what a lease range does: writes here, the rest at the lessor.
func (r *ranges) lease(ctx context.Context, id proto.RangeID, op *pontoonpb.LeaseOp) (*pontoonpb.LeaseReply, error) {
	r.mu.Lock()
	have := r.records[op.Id]
	var put *pontoonpb.LeaseRecord
	switch op.Kind {
	case pontoonpb.LeaseOpKind_LEASE_GRANT:
		if have != nil {
			r.mu.Unlock()
			return nil, proto.Answer(rpctypes.ErrGRPCLeaseExist)
		}
		put = &pontoonpb.LeaseRecord{Id: op.Id, TtlSeconds: op.TtlSeconds, Incarnation: op.Incarnation}
	case pontoonpb.LeaseOpKind_LEASE_REGISTER:
		if have == nil {
			r.mu.Unlock()
			return nil, proto.Answer(rpctypes.ErrGRPCLeaseNotFound)
		}
		put = pb.Clone(have).(*pontoonpb.LeaseRecord)
		put.Registered = append(put.Registered, op.Register...)
	case pontoonpb.LeaseOpKind_LEASE_CHECKPOINT:
		c := op.Checkpoints[0]
		put = pb.Clone(r.records[c.Id]).(*pontoonpb.LeaseRecord)
		put.RemainingSeconds = c.RemainingSeconds
	default:
		r.mu.Unlock()
		return r.lessor.Serve(ctx, id, op)
	}
	r.records[put.Id] = put
	r.mu.Unlock()
	r.lessor.Applied(id, []*pontoonpb.LeaseRecord{put}, nil)
	return &pontoonpb.LeaseReply{Record: put, TtlSeconds: put.TtlSeconds}, nil
}

// RevokeLease is a revocation without ranges: lock, delete, apply.
func (r *ranges) RevokeLease(_ context.Context, id proto.LeaseID, term, renewals uint64) (proto.Revision, error) {
	if err := r.lessor.BeginRevoke(id, term, renewals); err != nil {
		return 0, err
	}
	if r.revoke != nil {
		if err := r.revoke(int64(id), term, renewals); err != nil {
			r.lessor.EndRevoke(id, false)
			return 0, err
		}
	}
	r.mu.Lock()
	delete(r.records, int64(id))
	r.revoked = append(r.revoked, int64(id))
	rev := r.rev
	r.mu.Unlock()
	r.lessor.EndRevoke(id, true)
	for _, d := range r.descs {
		r.lessor.Applied(proto.RangeID(d.RangeId), nil, []proto.LeaseID{id})
	}
	return rev, nil
}

func (r *ranges) gone() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.revoked)
}

func (r *ranges) service() *Service {
	return NewService(ServiceOptions{Sender: r, Ranges: r, Revoker: r, Sequencer: r, Headers: r, ElectionTimeout: time.Second})
}
