package api

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
)

// Defragment compacts this node's engine, beside everything else that it does.
// The answer has no header, as in etcd.
func (m *Maintenance) Defragment(ctx context.Context, _ *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	if err := m.Store.Defragment(ctx); err != nil {
		return nil, proto.ClientError(err)
	}
	return &pb.DefragmentResponse{}, nil
}
