// Package leaderlease decides how long a raft leader may serve without asking
// a quorum, and when a replica may vote or campaign. It is a pure kernel: the
// monotonic time is an argument everywhere.
//
//	leader                                follower
//	  | heartbeat{id}   id -> send time      |
//	  |------------------------------------->| Promise.Heard(now)
//	  | response{id}                         |   no vote, no campaign for
//	  |<-------------------------------------|   one election timeout (P3)
//	  | Lease.Acked(from, id)
//	  v
//	quorum time T: a quorum acknowledged heartbeats sent at T or later
//	  Valid(now)      now < T + duration   serve without a round (P4)
//	  QuorumSince(t)  T >= t               a round started at t is done (P5)
//
// Election turns the end of the promise into a campaign, the voters one after
// another by rank.
//
// Invariants:
//
//	I1  T is a send time, never a receive time: an acknowledgement proves only
//	    that the follower heard the heartbeat after it was sent.
//	I2  duration + margin <= election timeout, with a margin of at least two
//	    ticks plus the drift bound (P4), so a lease has lapsed on the leader's
//	    clock before any voter of its quorum is free to vote.
//	I3  Once dropped, a lease stays dropped for its term (P2). QuorumSince goes
//	    on working: a round proves leadership at an instant of the past.
//
// rangeraft owns one Lease, Promise and Election per replica. The kernel never sends
// a message and never reads a clock.
package leaderlease
