package admin

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node/integrity"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// RangeChecksum compares what the replicas of a range hold. Where they differ
// at one index the alarm CORRUPT is raised before it answers.
func (s *Server) RangeChecksum(ctx context.Context, req *pontoonpb.RangeChecksumRequest) (*pontoonpb.RangeChecksumResponse, error) {
	resp, err := integrity.Compare(ctx, s.Cluster, func(ctx context.Context) (*pontoonpb.Descriptor, error) { return s.descriptor(ctx, req.RangeId) })
	if ctx.Err() != nil {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if err != nil {
		return nil, err
	}
	if len(resp.Replicas) == 0 {
		return nil, status.Errorf(codes.Internal, "range %d has no replicas", req.RangeId)
	}
	if err := integrity.Report(ctx, s.Cluster, resp); err != nil {
		return nil, proto.ClientError(err)
	}
	return resp, nil
}
