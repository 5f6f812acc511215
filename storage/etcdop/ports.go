package etcdop

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
)

// Placeholder is the revision of the first mutating request of a batch whose
// numbers are not granted yet; the i-th has Placeholder+i. It is greater than
// every number that is ever granted.
const Placeholder int64 = 1 << 62

// IsPlaceholder reports whether rev stands for a number not granted yet. The
// number just before a batch's first is such a number too.
func IsPlaceholder(rev int64) bool { return rev >= Placeholder-1 }

// View is what an operation is evaluated over. Key-values it returns stay
// valid and unchanged for the caller; keys are etcd keys. end "" means the
// single key, "\x00" everything from key on, as in etcd.
type View interface {
	// Get returns the live key-value of key in the latest state, nil if the
	// key is not live.
	Get(key []byte) (*mvccpb.KeyValue, error)
	// Scan calls fn for the live key-values of [key, end) in key order until
	// fn returns false; rev 0 is the latest state, rev > 0 the state at rev.
	Scan(key, end []byte, rev int64, fn func(*mvccpb.KeyValue) (more bool)) error
	// Count counts what Scan would visit.
	Count(key, end []byte, rev int64) (int64, error)
	// LeaseUsable says whether a put of key may name the lease.
	LeaseUsable(lease proto.LeaseID, key []byte) LeaseState
	// Floor is the compaction floor, proto.NeverCompacted if there is none.
	Floor() int64
	// Seen is a lower bound of every number not granted yet (P8).
	Seen() int64
}

// LeaseState is the answer of View.LeaseUsable.
type LeaseState int

const (
	LeaseUnknown LeaseState = iota // ask the home range first: *NeedLease
	LeaseYes
	LeaseNo // answer: lease not found
)

// ErrUndecided says that the operation depends on a number that is not granted
// yet; evaluate it again once the batch before it is bound (P14).
var ErrUndecided = errors.New("etcdop: depends on a revision that is not granted yet")

// NeedLease says that the lease must be registered for the key first (P38).
type NeedLease struct {
	Lease proto.LeaseID
	Key   []byte // etcd key
}

func (e *NeedLease) Error() string {
	return fmt.Sprintf("etcdop: lease %x is not registered for key %q", int64(e.Lease), e.Key)
}

// NeedSeen says that only a number from the sequencer tells whether revision
// Rev is in the future; evaluate again when Seen reached it or rev is real.
type NeedSeen struct{ Rev int64 }

func (e *NeedSeen) Error() string {
	return fmt.Sprintf("etcdop: whether revision %d exists is not known here", e.Rev)
}
