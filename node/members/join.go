package members

import (
	"fmt"
	"slices"
	"time"

	pb "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Refusal is why a node may not join, for its operator.
type Refusal struct {
	Reason  string
	Removed bool // for good
}

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...)}
}

// join decides what a node that asks becomes; nil: its record is as it should
// be already.
//
// One that names its id belongs to the cluster and tells of itself: from then
// on it has started. One without data gets a record of its own, or the one that
// was added for it (M5).
func join(all []*pontoonpb.NodeRecord, req *pontoonpb.JoinRequest, now time.Time) (record, next *pontoonpb.NodeRecord, err error) {
	if other := taken(all, req.PeerUrls, req.NodeId); other != nil && (req.NodeId != 0 || other.Name != "") {
		return nil, nil, refuse("peer URL of member %s (%x) is also that of this node (%v): a node without its data joins under "+
			"another address, or once the member it was is removed", other.Name, other.NodeId, req.PeerUrls)
	}
	if req.NodeId != 0 {
		return announce(all, req)
	}
	urls := slices.Sorted(slices.Values(req.PeerUrls))
	for _, r := range Active(all) {
		if r.Name == "" && slices.Equal(slices.Sorted(slices.Values(r.PeerUrls)), urls) {
			return r, nil, nil
		}
	}
	if req.Added {
		return nil, nil, refuse("no member with peer URLs %v was added to the cluster: `etcdctl member add` comes first", req.PeerUrls)
	}
	if other := taken(all, req.PeerUrls, 0); other != nil {
		return nil, nil, refuse("member %x was added with peer URLs %v, this node has %v", other.NodeId, other.PeerUrls, req.PeerUrls)
	}
	added := &pontoonpb.NodeRecord{NodeId: uint64(newID(all, urls, now)), PeerUrls: req.PeerUrls, Locality: req.Locality}
	return added, added, nil
}

// announce decides on what a member tells of itself.
func announce(all []*pontoonpb.NodeRecord, req *pontoonpb.JoinRequest) (record, next *pontoonpb.NodeRecord, err error) {
	have := Find(all, proto.NodeID(req.NodeId))
	if err := Standing(have, req.NodeId); err != nil {
		return nil, nil, err
	}
	told := clone(have)
	told.Name, told.PeerUrls, told.ClientUrls = req.Name, req.PeerUrls, req.ClientUrls
	told.Locality, told.Version = req.Locality, req.Version
	if pb.Equal(told, have) {
		return have, nil, nil
	}
	return told, told, nil
}

// Standing refuses a node that claims to be a member and is none.
func Standing(r *pontoonpb.NodeRecord, id uint64) error {
	switch {
	case r == nil:
		return refuse("node %x is not a member of this cluster", id)
	case r.State == pontoonpb.NodeState_NODE_REMOVED:
		return &Refusal{Reason: Removed, Removed: true}
	}
	return nil
}
