package evaluator

import (
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Data reads the applied user keys of the range. It shows everything whose
// Applied was reported and nothing of a batch whose Applied was not. Keys and
// spans are internal; key-values carry etcd keys and stay valid and unchanged.
type Data interface {
	// Get returns the live key-value at key, nil if the key is not live.
	Get(key []byte) (*mvccpb.KeyValue, error)
	// Scan calls fn in key order for what is live at rev, 0 for the latest
	// state, until fn returns false.
	Scan(span proto.Span, rev proto.Revision, fn func(*mvccpb.KeyValue) (more bool)) error
	// Count counts what Scan would visit.
	Count(span proto.Span, rev proto.Revision) (int64, error)
	// LeaseKeys calls fn for every live key of span attached to the lease, in
	// key order, until fn returns false.
	LeaseKeys(span proto.Span, lease proto.LeaseID, fn func(key []byte) (more bool)) error
}

// Records reads the applied unversioned records of the range.
type Records interface {
	// Local returns the value of a record, nil if there is none.
	Local(space pontoonpb.Space, key, suffix []byte) ([]byte, error)
	// Locals calls fn for every record of span in order until fn returns
	// false. The slices are fn's to keep.
	Locals(space pontoonpb.Space, span proto.Span, fn func(key, suffix, value []byte) (more bool)) error
	// Floor is the compaction floor that the range recorded,
	// proto.NeverCompacted if none.
	Floor() proto.Revision
}

// State is the applied state of the range.
type State interface {
	Data
	Records
}

// Numbers is what the node knows of the sequencer without asking it.
type Numbers interface {
	// Seen never decreases (P8).
	Seen() proto.Revision
	// Floor is the newest compaction floor heard of.
	Floor() proto.Revision
	// AuthEpoch is the newest auth epoch heard of (P9).
	AuthEpoch() uint64
}

// Lessor keeps the times of the leases of a lease range.
type Lessor interface {
	// BeginRevoke holds back keepalives until EndRevoke. term 0 is a revoke
	// by a client; an expiry is refused with an error if the lessor's leader
	// term or the renewal count is another one (P39).
	BeginRevoke(lease proto.LeaseID, term, renewals uint64) error
	// EndRevoke tells the outcome. The lease may be unknown to the lessor.
	EndRevoke(lease proto.LeaseID, revoked bool)
}
