package rangeraft

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// doChecksum sums up everything that this replica holds of the range, once it
// applied up to an index. Leader or not: replicas are compared with each other.
func (r *Replica) doChecksum(ctx context.Context, index proto.Index) *pontoonpb.RangeReply {
	if index > r.published.Load().index {
		if reply := r.doWaitApplied(ctx, index); reply.Error != nil {
			return reply
		}
	}
	r.mu.Lock() // within a turn an entry may be half applied (P36)
	v, err := r.open()
	r.mu.Unlock()
	if err != nil {
		return refusal(err)
	}
	defer v.close()
	sum, err := v.Checksum(r.id)
	if err != nil {
		return refusal(unavailable("checksum: %v", err))
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Checksum{Checksum: &pontoonpb.ChecksumReply{
		Index: uint64(sum.Index), Sum: sum.Sum}}}
}
