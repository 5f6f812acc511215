package backup

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node/etcdfile"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// sysPage is how many records one read of a range returns.
const sysPage = 1000

// sysRecords calls fn for the SPACE_SYS records of the span, page by page.
func sysRecords(ctx context.Context, ranges Ranges, span proto.Span, page int64, fn func(*pontoonpb.SysRecord) error) error {
	for !span.Empty() {
		descs, err := ranges.Cover(ctx, span)
		if err != nil {
			return err
		}
		piece := proto.SpanOf(descs[0].Span).Intersect(span)
		reply, err := ranges.Send(ctx, &pontoonpb.RangeOp{
			Span: piece.Wire(), Op: &pontoonpb.RangeOp_SysRead{SysRead: &pontoonpb.SysReadOp{Limit: page}},
		})
		if proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH) {
			continue // it split; the cache knows now
		}
		if err != nil {
			return err
		}
		found := reply.GetSysRead().GetRecords()
		for _, rec := range found {
			if err := fn(rec); err != nil {
				return err
			}
		}
		if page > 0 && int64(len(found)) == page {
			span.Start = keys.Next(found[page-1].Key)
		} else {
			span.Start = piece.End
		}
	}
	return nil
}

// leases adds the lease records there are now.
func leases(ctx context.Context, ranges Ranges, into map[proto.LeaseID]etcdfile.Lease) error {
	return sysRecords(ctx, ranges, keys.LeaseSpan, sysPage, func(rec *pontoonpb.SysRecord) error {
		l := &pontoonpb.LeaseRecord{}
		if err := l.UnmarshalVT(rec.Value); err != nil {
			return status.Errorf(codes.DataLoss, "lease record %x: %v", rec.Key, err)
		}
		into[proto.LeaseID(l.Id)] = etcdfile.Lease{
			ID: proto.LeaseID(l.Id), TTL: l.TtlSeconds, Remaining: l.RemainingSeconds,
		}
		return nil
	})
}

// revokedTTL is what a lease gets that a live key names and that nobody knows
// any more: it was granted and revoked while the backup was taken. The keys
// shall go soon after a restore, as they did.
const revokedTTL = 1

// allLeases keeps B5: what there is after the cut, and of what there was before
// it what is used.
func allLeases(before, after map[proto.LeaseID]etcdfile.Lease, used map[proto.LeaseID]struct{}) []etcdfile.Lease {
	list := make([]etcdfile.Lease, 0, len(after))
	for _, l := range after {
		list = append(list, l)
	}
	for id := range used {
		if _, ok := after[id]; ok {
			continue
		}
		l, ok := before[id]
		if !ok {
			l = etcdfile.Lease{ID: id, TTL: revokedTTL}
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b etcdfile.Lease) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// authOf reads all of authentication at one point of the root range's log.
func authOf(ctx context.Context, ranges Ranges) (etcdfile.Auth, error) {
	a := etcdfile.Auth{Users: map[string][]byte{}, Roles: map[string][]byte{}}
	err := sysRecords(ctx, ranges, keys.AuthSpan, 0, func(rec *pontoonpb.SysRecord) error {
		if name, ok := keys.AuthUserOf(rec.Key); ok {
			a.Users[name] = rec.Value
		}
		if name, ok := keys.AuthRoleOf(rec.Key); ok {
			a.Roles[name] = rec.Value
		}
		switch string(rec.Key) {
		case string(keys.AuthEnabled):
			a.Enabled = true
		case string(keys.AuthRevision):
			var err error
			a.Revision, err = number(rec)
			return err
		}
		return nil
	})
	return a, err
}

// members reads who belongs to the cluster.
func members(ctx context.Context, ranges Ranges, c *etcdfile.Contents) error {
	return sysRecords(ctx, ranges, keys.NodeSpan, 0, func(rec *pontoonpb.SysRecord) error {
		n := &pontoonpb.NodeRecord{}
		if err := n.UnmarshalVT(rec.Value); err != nil {
			return status.Errorf(codes.DataLoss, "node record %x: %v", rec.Key, err)
		}
		id := proto.NodeID(n.NodeId)
		if n.State == pontoonpb.NodeState_NODE_REMOVED || n.Leaving {
			c.Removed = append(c.Removed, id)
			return nil
		}
		c.Members = append(c.Members, etcdfile.Member{
			ID: id, PeerURLs: n.PeerUrls, Learner: n.Learner, Name: n.Name, ClientURLs: n.ClientUrls,
		})
		return nil
	})
}

func number(rec *pontoonpb.SysRecord) (uint64, error) {
	if len(rec.Value) != 8 {
		return 0, status.Errorf(codes.DataLoss, "record %q has %d bytes", rec.Key[1:], len(rec.Value))
	}
	return binary.BigEndian.Uint64(rec.Value), nil
}
