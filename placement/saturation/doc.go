// Package saturation says, in virtual time, what bounds the writes of a cluster
// of many nodes: the nodes themselves, the sequencer beside the root range, or
// placement, which runs there too.
//
//	writer -> gateway [CPU] -> leader [CPU] -> ask, folded -> root [CPU, Kernel]
//	   ^                                                         | grant
//	   └──── quorum <- follower [CPU] <──────── leader <─────────┘
//
// Numbers are handed out by the sequencer's own kernel, messages are folded by
// the rule of its client (package client): one message for all that waits, two in
// flight. What anything costs is measured, not assumed: see Costs and the test,
// which measures what it can of this machine and takes the rest from a report of
// `pontoon bench scaleout`, whose larger clusters it then predicts.
//
// Invariants:
//
//	I1 No number is granted twice, and every put gets one.
//	I2 A node's CPU does one thing at a time, in order of arrival.
//
// It leaves out what a disk and a network take besides a fixed delay, what
// batches of fewer puts cost more, and garbage collection beyond what the
// measured costs hold: so it is an upper bound, and how far a real cluster falls
// below it is what those take.
package saturation
