package leaderlease

import "github.com/pontoon-kv/pontoon/proto"

// AckedSince reports whether a replica, voter or not, acknowledged a round of
// this leadership that was sent at t or later.
func (l *Lease) AckedSince(id proto.ReplicaID, t Nanos) bool {
	at, ok := l.acked[id]
	return ok && at >= t
}
