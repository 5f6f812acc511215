// Package roster keeps the nodes of the cluster and its settings in the root
// range.
//
//	node: Join, MemberAdd, drain, remove ──> Decide ──────┐  SysWrite, conditional
//	node: placement settings ──────────────> Change ──────┼──> root range
//	placement/driver ──────────────────────> Nodes, Settings
//
// It holds no state: every call goes to the root range. What the records mean
// is decided by those who read them.
//
// Invariants:
//
//	I1  A record changes only from the value that was read: of two that race,
//	    the later one starts over from what the earlier one left.
//	I2  A removed node's record never changes again, so that the node never
//	    comes back.
//	I3  Settings that contradict each other are never written.
//	I4  A decision over all records is written only if no other decision came
//	    between.
package roster
