package proto

// NodeID identifies a process and its one store. It is etcd's member id,
// derived from the peer URLs and the cluster token.
type NodeID uint64

// RangeID identifies a range for ever; ids are never reused.
type RangeID uint64

// ReplicaID is a replica's raft id inside its range, never reused there.
type ReplicaID uint64

// Revision is a global MVCC number handed out by the sequencer.
type Revision int64

// Term is a raft term.
type Term uint64

// Index is a position in one range's raft log.
type Index uint64

// LeaseID is an etcd client lease.
type LeaseID int64

// Well-known ranges. The root range holds the meta span and is never split or
// merged.
const (
	RootRange  RangeID = 1
	LeaseRange RangeID = 2 // first range of the lease span at bootstrap
	UserRange  RangeID = 3 // first range of the user span at bootstrap
)

// FirstRevision is the revision of an empty store, as in etcd.
const FirstRevision Revision = 1

// NeverCompacted is the compaction floor of a store that was never compacted,
// as in etcd.
const NeverCompacted Revision = -1
