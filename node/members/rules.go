package members

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	pb "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Removed is what a member hears that was removed; etcd's text.
const Removed = "the member has been permanently removed from the cluster"

// errNotEnoughStarted has no status of its own in etcd, and so code Unknown.
var errNotEnoughStarted = status.Error(codes.Unknown, "etcdserver: re-configuration failed due to not enough started members")

// Limits on changes, as etcd's flags set them.
type Limits struct {
	Strict      bool // refuse what would leave too few started or steady members
	MaxLearners int
}

// Active drops the records of members that are gone or about to go.
func Active(all []*pontoonpb.NodeRecord) []*pontoonpb.NodeRecord {
	return slices.DeleteFunc(slices.Clone(all), func(r *pontoonpb.NodeRecord) bool {
		return r.State == pontoonpb.NodeState_NODE_REMOVED || r.Leaving
	})
}

// Find returns the record of a node, nil if there is none.
func Find(all []*pontoonpb.NodeRecord, id proto.NodeID) *pontoonpb.NodeRecord {
	if i := slices.IndexFunc(all, func(r *pontoonpb.NodeRecord) bool { return r.NodeId == uint64(id) }); i >= 0 {
		return all[i]
	}
	return nil
}

// find returns the record of a member as etcd sees it: one that was removed, or
// is on its way out, is not found.
func find(all []*pontoonpb.NodeRecord, id proto.NodeID) (*pontoonpb.NodeRecord, error) {
	if r := Find(Active(all), id); r != nil {
		return r, nil
	}
	return nil, rpctypes.ErrGRPCMemberNotFound
}

// add decides on a new member that has not started (M3).
func add(all []*pontoonpb.NodeRecord, urls []string, learner bool, limits Limits, steady func(proto.NodeID) bool, now time.Time) (*pontoonpb.NodeRecord, error) {
	if limits.Strict {
		if err := mayAdd(all, learner, steady); err != nil {
			return nil, err
		}
	}
	if taken(all, urls, 0) != nil {
		return nil, rpctypes.ErrGRPCPeerURLExist
	}
	if learner {
		learners := 0
		for _, r := range Active(all) {
			if r.Learner {
				learners++
			}
		}
		if learners >= limits.MaxLearners {
			return nil, rpctypes.ErrGRPCTooManyLearners
		}
	}
	return &pontoonpb.NodeRecord{NodeId: uint64(newID(all, urls, now)), PeerUrls: urls, Learner: learner}, nil
}

// mayAdd is etcd's protection of the quorum. It counts members, not replicas:
// here an absent member takes no range's quorum away, but those who watch a
// cluster being built rely on the refusals.
func mayAdd(all []*pontoonpb.NodeRecord, learner bool, steady func(proto.NodeID) bool) error {
	have, started := voting(all, 0)
	if !learner && started < (have+1)/2+1 && !(started == 1 && have == 1) {
		return errNotEnoughStarted
	}
	if have > 1 && countSteady(all, steady) < (have+1)/2+1 {
		return rpctypes.ErrGRPCUnhealthy
	}
	return nil
}

// mayRemove is etcd's protection of the quorum of those who stay.
func mayRemove(all []*pontoonpb.NodeRecord, r *pontoonpb.NodeRecord, live bool, steady func(proto.NodeID) bool) error {
	if r.Learner {
		return nil
	}
	stay, started := voting(all, r.NodeId)
	if started < stay/2+1 {
		return errNotEnoughStarted
	}
	if live && countSteady(all, steady)-1 < 1+stay/2 {
		return rpctypes.ErrGRPCUnhealthy
	}
	return nil
}

// voting counts the members that are no learners, and those of them that ever
// started, without one.
func voting(all []*pontoonpb.NodeRecord, without uint64) (members, started int) {
	for _, r := range Active(all) {
		if r.Learner || r.NodeId == without {
			continue
		}
		members++
		if r.Name != "" {
			started++
		}
	}
	return members, started
}

func countSteady(all []*pontoonpb.NodeRecord, steady func(proto.NodeID) bool) (n int) {
	for _, r := range Active(all) {
		if !r.Learner && steady(proto.NodeID(r.NodeId)) {
			n++
		}
	}
	return n
}

// update decides on other peer URLs of a member (M3).
func update(all []*pontoonpb.NodeRecord, id proto.NodeID, urls []string) (*pontoonpb.NodeRecord, error) {
	r, err := find(all, id)
	if err != nil {
		return nil, err
	}
	if taken(all, urls, r.NodeId) != nil {
		return nil, rpctypes.ErrGRPCPeerURLExist
	}
	next := clone(r)
	next.PeerUrls = urls
	return next, nil
}

// promote decides on making a learner member one that may hold replicas. It is
// in sync once it is there: it holds nothing that could lag.
func promote(all []*pontoonpb.NodeRecord, id proto.NodeID, limits Limits, live func(proto.NodeID) bool) (*pontoonpb.NodeRecord, error) {
	r, err := find(all, id)
	switch {
	case err != nil:
		return nil, err
	case !r.Learner:
		return nil, rpctypes.ErrGRPCMemberNotLearner
	case r.Name == "" || !live(id):
		return nil, rpctypes.ErrGRPCLearnerNotReady
	}
	if have, started := voting(all, 0); limits.Strict && started+1 < (have+1)/2+1 {
		return nil, errNotEnoughStarted
	}
	next := clone(r)
	next.Learner = false
	return next, nil
}

// taken returns the member that has one of the URLs; removed ones have given
// theirs up.
func taken(all []*pontoonpb.NodeRecord, urls []string, except uint64) *pontoonpb.NodeRecord {
	for _, r := range all {
		if r.NodeId == except || r.State == pontoonpb.NodeState_NODE_REMOVED {
			continue
		}
		if slices.ContainsFunc(urls, func(u string) bool { return slices.Contains(r.PeerUrls, u) }) {
			return r
		}
	}
	return nil
}

// newID is etcd's id of a member added at a time. Ids that were ever taken are
// passed over (M2).
func newID(all []*pontoonpb.NodeRecord, urls []string, now time.Time) proto.NodeID {
	sorted := slices.Sorted(slices.Values(urls))
	for second := now.Unix(); ; second++ {
		sum := sha1.Sum(fmt.Appendf(nil, "%s%d", strings.Join(sorted, ""), second))
		id := proto.NodeID(binary.BigEndian.Uint64(sum[:8]))
		if id != 0 && Find(all, id) == nil {
			return id
		}
	}
}

func clone(r *pontoonpb.NodeRecord) *pontoonpb.NodeRecord {
	return pb.Clone(r).(*pontoonpb.NodeRecord)
}
