// Package alone measures a sequencer with nothing around it: how many revisions
// one core hands out to nodes that always ask.
//
//	64 nodes, two messages in flight each     Server
//	   ask --encoded--> channel --decoded-->  Kernel, confirmed at once
//	   <--decoded-- channel <--encoded-- reply
//
// Streams, kernel and codec are those of a node; the network and the log are left
// out. A limit is applied when it is written.
//
// Invariants:
//
//	I1 Nodes and sequencer share one core: GOMAXPROCS is 1 while it is measured.
//	I2 Every answer is checked: in the order of the asks, and what it grants rises.
package alone
