package txn

import (
	"bytes"
	"slices"
	"sort"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// lockedView is the etcdop.View over what was read under the locks. It knows
// only the spans that were locked, which are all that the evaluation touches.
type lockedView struct {
	states map[int64][]*mvccpb.KeyValue // by revision, 0 is latest; key order
	leases func(proto.LeaseID, []byte) etcdop.LeaseState
	floor  int64
	seen   int64
}

// newLockedView collects the replies of all groups. It fails if a reply does
// not answer what was asked (P21).
func newLockedView(gs []*group) (*lockedView, bool) {
	v := &lockedView{states: make(map[int64][]*mvccpb.KeyValue), floor: int64(proto.NeverCompacted)}
	for _, g := range gs {
		if len(g.reply.Reads) != len(g.reads) {
			return nil, false
		}
		for i, r := range g.reply.Reads {
			if r.More {
				return nil, false
			}
			rev := g.reads[i].Revision
			v.states[rev] = append(v.states[rev], r.Kvs...)
		}
		v.floor = max(v.floor, g.reply.CompactFloor)
		v.seen = max(v.seen, g.reply.Floor)
	}
	for rev, kvs := range v.states {
		slices.SortFunc(kvs, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
		// Two ranges of the request may read the same history.
		v.states[rev] = slices.CompactFunc(kvs, func(a, b *mvccpb.KeyValue) bool { return bytes.Equal(a.Key, b.Key) })
	}
	return v, true
}

func (v *lockedView) Get(key []byte) (*mvccpb.KeyValue, error) {
	var found *mvccpb.KeyValue
	err := v.Scan(key, nil, 0, func(kv *mvccpb.KeyValue) bool {
		found = kv
		return false
	})
	return found, err
}

func (v *lockedView) Scan(key, end []byte, rev int64, fn func(*mvccpb.KeyValue) bool) error {
	span := keys.UserRangeSpan(key, end)
	kvs := v.states[rev]
	i := sort.Search(len(kvs), func(i int) bool { return bytes.Compare(kvs[i].Key, key) >= 0 })
	for ; i < len(kvs) && span.Contains(keys.User(kvs[i].Key)); i++ {
		if !fn(kvs[i]) {
			break
		}
	}
	return nil
}

func (v *lockedView) Count(key, end []byte, rev int64) (int64, error) {
	var n int64
	err := v.Scan(key, end, rev, func(*mvccpb.KeyValue) bool {
		n++
		return true
	})
	return n, err
}

func (v *lockedView) LeaseUsable(lease proto.LeaseID, key []byte) etcdop.LeaseState {
	return v.leases(lease, key)
}
func (v *lockedView) Floor() int64 { return v.floor }
func (v *lockedView) Seen() int64  { return v.seen }
