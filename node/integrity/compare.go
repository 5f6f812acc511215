package integrity

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// tries is how often replicas are asked again until they were all summed up at
// one index: a range that is written to moves on meanwhile.
const tries = 5

// Compare compares what the replicas of a range hold. desc is asked for before
// each try.
func Compare(ctx context.Context, calls Calls, desc func(context.Context) (*pontoonpb.Descriptor, error)) (*pontoonpb.RangeChecksumResponse, error) {
	var resp *pontoonpb.RangeChecksumResponse
	var index uint64
	for range tries {
		d, err := desc(ctx)
		if err != nil {
			return nil, err
		}
		if resp = checksums(ctx, calls, d, index); resp.Equal || ctx.Err() != nil {
			break
		}
		for _, r := range resp.Replicas {
			index = max(index, r.Index)
		}
		if comparable(resp.Replicas) {
			break // one index, several sums: asking again changes nothing
		}
	}
	return resp, ctx.Err()
}

// checksums asks every replica, not before it applied up to index.
func checksums(ctx context.Context, calls Calls, desc *pontoonpb.Descriptor, index uint64) *pontoonpb.RangeChecksumResponse {
	resp := &pontoonpb.RangeChecksumResponse{Replicas: make([]*pontoonpb.ReplicaChecksum, len(desc.Replicas))}
	op := &pontoonpb.RangeOp{RangeId: desc.RangeId, Span: desc.Span,
		Op: &pontoonpb.RangeOp_Checksum{Checksum: &pontoonpb.ChecksumOp{Index: index}}}
	var wg sync.WaitGroup
	for i, rep := range desc.Replicas {
		wg.Go(func() {
			sum := &pontoonpb.ReplicaChecksum{NodeId: rep.NodeId}
			resp.Replicas[i] = sum
			reply, err := calls.Call(ctx, proto.NodeID(rep.NodeId), op)
			if err == nil {
				err = proto.FromWire(reply.GetError())
			}
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

// comparable says that all answered, at one index (I1).
func comparable(replicas []*pontoonpb.ReplicaChecksum) bool {
	for _, r := range replicas {
		if r.Error != "" || r.Index != replicas[0].Index {
			return false
		}
	}
	return len(replicas) > 0
}

// Differing returns the nodes whose replicas certainly hold something else than
// most do. Where no sum has a majority nobody can say whose is wrong: that is
// node 0, as in etcd.
func Differing(resp *pontoonpb.RangeChecksumResponse) (nodes []proto.NodeID) {
	if resp == nil || resp.Equal || !comparable(resp.Replicas) {
		return nil
	}
	votes := map[uint64]int{}
	for _, r := range resp.Replicas {
		votes[r.Sum]++
	}
	for sum, n := range votes {
		if 2*n <= len(resp.Replicas) {
			continue
		}
		for _, r := range resp.Replicas {
			if r.Sum != sum {
				nodes = append(nodes, proto.NodeID(r.NodeId))
			}
		}
		return nodes
	}
	return []proto.NodeID{0}
}

// Report raises CORRUPT for every node that differs.
func Report(ctx context.Context, alarms Alarms, resp *pontoonpb.RangeChecksumResponse) error {
	var all []error
	for _, node := range Differing(resp) {
		all = append(all, alarms.Raise(ctx, node, pb.AlarmType_CORRUPT))
	}
	return errors.Join(all...)
}
