package api

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
)

// Header fills the parts of a response header that name who answers.
type Header struct {
	ClusterID uint64
	MemberID  proto.NodeID
	Term      func() proto.Term // of the root range, as this node knows it
}

// Header returns a header at the revision; 0 leaves the revision unset.
func (h *Header) Header(rev int64) *pb.ResponseHeader {
	return &pb.ResponseHeader{
		ClusterId: h.ClusterID,
		MemberId:  uint64(h.MemberID),
		RaftTerm:  uint64(h.Term()),
		Revision:  rev,
	}
}
