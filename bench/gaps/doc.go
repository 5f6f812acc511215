// Package gaps measures for how long a client cannot write while nodes are
// killed or restarted.
//
//	every 10 ms: one put per probed range, official client, all endpoints
//	    ok  ok  ok  x   x   .   .   .   ok ok
//	            |<------ the gap ------>|
//
// Three scenarios, each some tries long on one cluster: the leader of a range is
// killed, the node with the sequencer is killed, each node is restarted cleanly
// in turn. A clean restart must not fail a single request either.
//
// Invariants:
//
//	I1 A gap is the longest time between two acknowledged puts of one range.
//	   Puts are sent at their times whatever became of those before.
//	I2 The client is the official one with its own defaults: what it does not
//	   retry counts as failed.
package gaps
