package admin

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// checksumTries is how often replicas are asked again until they were all
// summed up at one index: a range that is written to moves on meanwhile.
const checksumTries = 5

// RangeChecksum compares what the replicas of a range hold.
func (s *Server) RangeChecksum(ctx context.Context, req *pontoonpb.RangeChecksumRequest) (*pontoonpb.RangeChecksumResponse, error) {
	var resp *pontoonpb.RangeChecksumResponse
	var index uint64
	for range checksumTries {
		desc, err := s.descriptor(ctx, req.RangeId)
		if err != nil {
			return nil, err
		}
		if resp = s.checksums(ctx, desc, index); resp.Equal || ctx.Err() != nil {
			break
		}
		for _, r := range resp.Replicas {
			index = max(index, r.Index)
		}
		if comparable(resp.Replicas) {
			break // one index, several sums: asking again changes nothing
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	if len(resp.Replicas) == 0 {
		return nil, status.Errorf(codes.Internal, "range %d has no replicas", req.RangeId)
	}
	return resp, nil
}

// checksums asks every replica, not before it applied up to index.
func (s *Server) checksums(ctx context.Context, desc *pontoonpb.Descriptor, index uint64) *pontoonpb.RangeChecksumResponse {
	resp := &pontoonpb.RangeChecksumResponse{Replicas: make([]*pontoonpb.ReplicaChecksum, len(desc.Replicas))}
	op := &pontoonpb.RangeOp{RangeId: desc.RangeId, Span: desc.Span,
		Op: &pontoonpb.RangeOp_Checksum{Checksum: &pontoonpb.ChecksumOp{Index: index}}}
	var wg sync.WaitGroup
	for i, rep := range desc.Replicas {
		wg.Go(func() {
			sum := &pontoonpb.ReplicaChecksum{NodeId: rep.NodeId}
			resp.Replicas[i] = sum
			reply, err := s.Cluster.Call(ctx, proto.NodeID(rep.NodeId), op)
			if err != nil {
				sum.Error = err.Error()
				return
			}
			sum.Index, sum.Sum = reply.GetChecksum().GetIndex(), reply.GetChecksum().GetSum()
		})
	}
	wg.Wait()
	resp.Equal = comparable(resp.Replicas)
	for _, r := range resp.Replicas {
		resp.Equal = resp.Equal && r.Sum == resp.Replicas[0].Sum
	}
	return resp
}

// comparable says that all answered, at one index.
func comparable(replicas []*pontoonpb.ReplicaChecksum) bool {
	for _, r := range replicas {
		if r.Error != "" || r.Index != replicas[0].Index {
			return false
		}
	}
	return len(replicas) > 0
}
