// Package simulation runs placement on a cluster that exists in memory only, in
// virtual time.
//
//	Run: every round   Cluster ──View──> plan.Make ──> operator.Set
//	                     ^                                │ Next
//	                     └──────── RangeOp, answer ───────┘
//
// The plan and the operators are the very ones that drive a real cluster; the
// ranges are models that obey the same rules (generation, votes, quorum, data
// that takes time) and refuse what a real range would refuse. One seed, one
// history.
//
// Invariants, checked while it runs:
//
//	I1  A range keeps a quorum of live voters if its nodes do not die faster
//	    than repair works, and no node has two replicas of it.
//	I2  No leader loses its vote while it leads.
//	I3  The ranges tile the keyspace.
package simulation
