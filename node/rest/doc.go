// Package rest makes a process hold less memory while it has little to do.
//
//	every second --Figures--> kernel --Decision--> driver: collector's pace, give back
//
//	busy  garbage may grow as large as what is in use (Go's own default)
//	rest  for a while little was allocated: garbage may grow by a share of what
//	      the collector walks through, and what a burst left goes back at once
//
// Most of a node's heap are buffers of the engine that hold no pointers: a heap
// twice as large as them is room that only a busy node makes use of, and a
// collection that comes sooner costs only the walk over the rest.
//
// Invariants:
//
//	I1 A busy process is paced as if this package did not exist.
//	I2 Memory is given back at most once in a window: when rest begins, then only
//	   if it is worth it.
//	I3 Who sets GOGC has the last word: nothing is done then.
package rest
