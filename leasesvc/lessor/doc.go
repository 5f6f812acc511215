// Package lessor is the kernel of a lessor: what the leader of a range of the
// lease span knows of its leases and their time, and nothing of the rest.
//
//	applied records ─> Gained, Put, Delete ─┐
//	keepalives      ─> Renew ───────────────┼─> Kernel ─> Due: expiries to revoke
//	revocations     ─> BeginRevoke, End ────┘          └> TTL, List, Checkpoints
//
// Time is an argument of every step.
//
// Invariants:
//
//	I1  After a change of leader no lease expires before its full (or
//	    checkpointed) TTL and one election timeout have passed.
//	I2  An expiry is begun only for the term and the renewal count that it was
//	    decided under (P39).
//	I3  A lease that is past its time or being revoked is not renewed: whoever
//	    wants that waits for the outcome (P39).
//	I4  At most RevokeRate leases come due in one second, each again after
//	    RetryInterval until it is gone.
package lessor
