// Package placement decides where things are and in which order they happen:
// the revision order, the map of ranges, and the view of the nodes.
//
//	client ──asks──> sequencer        beside the leader of the root range
//	directory ───────> root range     ranges, durable
//	roster ──────────> root range     nodes and settings, durable
//	gossip <─────────> other nodes    liveness and load, advice only
//	plan ──operator──> driver         what should change, step by step; also beside
//	                                  that leader, and in virtual time in simulation
//
// Each is a package of its own; the driver alone knows what the plan is made
// of. Package node wires them.
package placement
