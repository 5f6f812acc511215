package lessor

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Due returns up to limit leases that are past their time, the oldest first.
// Each comes due again after the retry interval, until it is gone (I4).
func (k *Kernel) Due(now time.Time, limit int) []Expiry {
	var list []Expiry
	for len(list) < limit && len(k.due) > 0 {
		l := k.due[0]
		if now.Before(l.check) {
			break
		}
		l.check = now.Add(k.cfg.RetryInterval)
		heap.Fix(&k.due, 0)
		if l.revoking == 0 {
			list = append(list, Expiry{ID: proto.LeaseID(l.id), Term: k.term, Renewals: l.renewals})
		}
	}
	return list
}

// spread delays leases so that those that all got their TTL at once do not
// come due faster than they can be revoked, with a quarter of the rate to
// spare.
func (k *Kernel) spread(now time.Time) {
	if k.cfg.RevokeRate <= 0 || len(k.leases) < k.cfg.RevokeRate {
		return
	}
	sorted := make([]*lease, 0, len(k.leases))
	for _, l := range k.leases {
		sorted = append(sorted, l)
	}
	slices.SortFunc(sorted, func(a, b *lease) int {
		return cmp.Or(a.expiry.Compare(b.expiry), cmp.Compare(a.id, b.id))
	})
	gap := time.Second / time.Duration(max(k.cfg.RevokeRate*3/4, 1))
	earliest := now
	for _, l := range sorted {
		if l.expiry.Before(earliest) {
			l.expiry = earliest
			l.check = earliest
		}
		earliest = l.expiry.Add(gap)
	}
}

// Checkpoints returns up to limit records whose remaining TTL is to be written
// down, so that a change of leader does not give long leases their whole time
// again and again.
func (k *Kernel) Checkpoints(now time.Time, limit int) []*pontoonpb.LeaseRecord {
	if k.cfg.CheckpointInterval <= 0 {
		return nil
	}
	var list []*pontoonpb.LeaseRecord
	for _, l := range k.leases {
		if len(list) == limit {
			break
		}
		left := l.expiry.Sub(now)
		if now.Sub(l.checkpoint) < k.cfg.CheckpointInterval || left < time.Second || left >= l.ttl {
			continue
		}
		l.checkpoint = now
		list = append(list, &pontoonpb.LeaseRecord{
			Id: l.id, Incarnation: l.incarnation, RemainingSeconds: int64((left + time.Second - 1) / time.Second),
		})
	}
	return list
}
