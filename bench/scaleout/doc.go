// Package scaleout measures how the throughput of puts grows with the nodes of
// a cluster, on one machine.
//
//	per system and number of nodes, one cluster at a time:
//	  start, split, spread replicas and leaders, fill      as fast as it goes
//	  cap every node (package cgroup)                      e.g. 0.15 of a core each
//	  closed-loop clients, not capped                      warm up, then measure
//	report: throughput, CPU of each node, how often its cap held it back
//
// A capped node stands for a machine of its own: with all nodes free to use all
// cores of one machine, more nodes could only be slower.
//
// Invariants:
//
//	I1 Without caps that the kernel keeps there is no figure but an error.
//	I2 All systems and sizes get the same keys, values, ranges, clients,
//	   connections and caps; leaderships and replicas are spread evenly.
//	I3 A cell of which more than a hundredth failed is an error, not a number; what
//	   failed and what a full server refused is told beside it.
//	I4 A cell in which the machine ran out of CPU says so: there the caps are not
//	   what bounds.
package scaleout
