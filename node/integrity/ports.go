package integrity

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Calls reaches replicas.
type Calls interface {
	// Call runs an operation on the replica of a node, this one included. It
	// blocks until ctx ends if need be.
	Call(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Alarms raises alarms.
type Alarms interface {
	// Raise returns once every gateway obeys the alarm. One that is raised
	// already is no error.
	Raise(ctx context.Context, member proto.NodeID, kind pb.AlarmType) error
}
