// Package idle measures what ranges cost that nobody uses.
//
//	start --> memory and CPU of an empty cluster
//	split into N ranges, in parallel, every split of another range
//	wait until they sleep --> memory per replica, CPU per process
//	kill all, start all   --> time until they serve: ready, and one read of some
//	                          ranges each
//
// Invariants:
//
//	I1 What a replica costs is the growth of a process over the empty cluster,
//	   divided by the replicas that were added, with the heap as the process
//	   leaves it: nothing is trimmed for the sake of the figure.
//	I2 CPU is what the kernel counts for the process while nobody asks anything.
package idle
