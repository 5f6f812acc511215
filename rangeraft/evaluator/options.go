package evaluator

import (
	"errors"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Options describes one leadership of one range. The driver makes an Evaluator
// only after an entry of the term is applied (P1).
type Options struct {
	Term       proto.Term
	Replica    proto.ReplicaID       // the leader's
	Descriptor *pontoonpb.Descriptor // applied
	Closed     proto.Revision        // applied
	State      State
	Numbers    Numbers
	Lessor     Lessor        // nil: the range holds no lease records
	Now        time.Duration // the driver's monotonic clock, as in Tick

	MaxBatchBytes    int // effects of one entry, roughly; 0: 1 MiB
	MaxBatchRequests int // 0: 4096
	// PipelineAt is how many requests must wait before a batch is evaluated while
	// another one is in flight. Fewer wait for its apply, so that a range that is
	// asked often enough gets fewer and larger entries. 0: 1, never wait.
	PipelineAt int
	// Recent bounds the applied versions that are remembered; nil: none are.
	Recent         *Budget
	SpanDeleteKeys int64         // a deletion of more keys becomes a span deletion (P36); 0: 1000
	BlockedAfter   time.Duration // a txn's locks are asked about after (P32); 0: 1 s
}

func (o *Options) withDefaults() (Options, error) {
	r := *o
	if r.Term == 0 || r.Descriptor == nil || r.State == nil || r.Numbers == nil {
		return r, errors.New("evaluator: term, descriptor, state and numbers are required")
	}
	if r.MaxBatchBytes == 0 {
		r.MaxBatchBytes = 1 << 20
	}
	if r.MaxBatchRequests == 0 {
		r.MaxBatchRequests = 4096
	}
	if r.PipelineAt == 0 {
		r.PipelineAt = 1
	}
	if r.SpanDeleteKeys == 0 {
		r.SpanDeleteKeys = 1000
	}
	if r.BlockedAfter == 0 {
		r.BlockedAfter = time.Second
	}
	return r, nil
}
