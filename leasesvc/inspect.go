package leasesvc

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	etcdpb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// LeaseTimeToLive tells a lease's remaining time, and its keys if asked.
func (s *Service) LeaseTimeToLive(ctx context.Context, r *etcdpb.LeaseTimeToLiveRequest) (*etcdpb.LeaseTimeToLiveResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.RequestTimeout)
	defer cancel()
	reply, err := sendLease(ctx, s.opts.Sender, homeSpan(r.ID), &pontoonpb.LeaseOp{
		Kind: pontoonpb.LeaseOpKind_LEASE_TTL, Id: r.ID,
	})
	if err != nil && !isLeaseNotFound(err) {
		return nil, proto.ClientError(err)
	}
	resp := &etcdpb.LeaseTimeToLiveResponse{ID: r.ID, TTL: -1}
	if reply.GetRecord() != nil {
		resp.TTL, resp.GrantedTTL = reply.TtlSeconds, reply.Record.TtlSeconds
	}
	if r.Keys && len(reply.GetRecord().GetRegistered()) > 0 {
		rev, err := s.opts.Sequencer.ReadRevision(ctx)
		if err != nil {
			return nil, proto.ClientError(err)
		}
		if resp.Keys, err = s.leaseKeys(ctx, reply.Record, rev); err != nil {
			return nil, proto.ClientError(err)
		}
		resp.Header = s.opts.Headers.Header(rev)
		return resp, nil
	}
	resp.Header = s.opts.Headers.Header(s.headerRevision(ctx))
	return resp, nil
}

// leaseKeys collects the keys of a lease at one revision from every range that
// a registered span touches, in key order.
func (s *Service) leaseKeys(ctx context.Context, record *pontoonpb.LeaseRecord, rev proto.Revision) ([][]byte, error) {
	var list [][]byte
	for _, span := range union(record.Registered) {
		part, err := overParts(ctx, s.opts.Ranges, span, func(ctx context.Context, part proto.Span) ([][]byte, error) {
			reply, err := s.opts.Sender.Send(ctx, &pontoonpb.RangeOp{
				Span: part.Wire(),
				Op: &pontoonpb.RangeOp_LeaseKeys{LeaseKeys: &pontoonpb.LeaseKeysOp{
					Lease: record.Id, ReadRevision: int64(rev),
				}},
			})
			if err == nil {
				err = proto.FromWire(reply.GetError())
			}
			return reply.GetLeaseKeys().GetKeys(), err
		})
		if err != nil {
			return nil, err
		}
		list = append(list, part...)
	}
	slices.SortFunc(list, bytes.Compare)
	return list, nil
}

// LeaseLeases lists all leases, those that expire first first.
func (s *Service) LeaseLeases(ctx context.Context, _ *etcdpb.LeaseLeasesRequest) (*etcdpb.LeaseLeasesResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.RequestTimeout)
	defer cancel()
	list, err := overParts(ctx, s.opts.Ranges, keys.LeaseSpan, func(ctx context.Context, part proto.Span) ([]*pontoonpb.LeaseRecord, error) {
		reply, err := sendLease(ctx, s.opts.Sender, part, &pontoonpb.LeaseOp{Kind: pontoonpb.LeaseOpKind_LEASE_LIST})
		return reply.GetLeases(), err
	})
	if err != nil {
		return nil, proto.ClientError(err)
	}
	// Stable: within a range they come ordered by finer than seconds.
	slices.SortStableFunc(list, func(a, b *pontoonpb.LeaseRecord) int {
		return cmp.Compare(a.RemainingSeconds, b.RemainingSeconds)
	})
	resp := &etcdpb.LeaseLeasesResponse{Header: s.opts.Headers.Header(s.headerRevision(ctx))}
	for _, r := range list {
		resp.Leases = append(resp.Leases, &etcdpb.LeaseStatus{ID: r.Id})
	}
	return resp, nil
}
