// Package driver carries out what placement/plan decides.
//
//	                 ┌──────────── beside the root range's leader ───────────┐
//	nodes ──Report──>│ figures ──> View ──> plan.Make ──> operator.Set       │
//	roster, gossip ─>│                                     │ one goroutine each
//	people ──Place──>│ list, move, merge, cancel ──────────┘                 │──RangeOp──> ranges
//	                 └───────────────────────────────────────────────────────┘
//
// Only the node that leads the root range drives. Nothing it knows is durable:
// the ranges themselves are the truth, and a new driver finds in them what the
// old one left half done.
//
// Invariants:
//
//	I1  A driver that lost the root range drops its operators before it drives
//	    again. What it sent meanwhile names a generation and so does no harm.
//	I2  What is known of a range is never replaced by something older.
//	I3  A node counts as dead only after this driver itself, or gossip here, has
//	    missed it for the whole time: a new driver starts to count anew.
//	I4  Goroutines, operators in flight and what is remembered are bounded.
package driver
