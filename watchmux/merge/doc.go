// Package merge is the kernel of the watch service: it turns the unordered
// feeds of many ranges into one ordered stream of whole revisions per watcher.
//
//	feed of range A --Events, Checkpoint--> Part A -+- release (<= closed) -> index
//	feed of range B --Events, Checkpoint--> Part B -+                           |
//	                                                     one part: emit --------+
//	                                                     several: hold -> Cover resolves -> emit
//	history pages ------------------------------------------> Join, Bulk ------>+--> Group.out
//
// A Part is a span inside one range with the revision up to which everything
// was released. A Cover is a set of parts that together hold a watcher's span;
// its resolved revision is the minimum of theirs. A Group is one client
// stream: its queue is the order in which the client sees everything.
//
// Invariants:
//
//	I1 A part releases a change once, in (revision, sub) order, when a
//	   checkpoint that covers the whole part closed it (P22). What comes again
//	   after a feed was re-homed is at or below closed, or was dropped (P24).
//	I2 A watcher's queue gets every matching change at or above its start once,
//	   whole revisions, rising. A watcher inside one part never waits for
//	   another part.
//	I3 Resolved never falls and an uncovered key holds it: a cover has parts for
//	   all of the span, and parts are cut or joined, never removed, while watched.
//	I4 A progress answer stands in the queue behind every change at or below its
//	   revision, and its revision is not below any change before it (P26).
//	I5 Everything that waits is bounded: part, watcher and group each have a
//	   limit. Beyond it a part drops and is read again from closed, a watcher is
//	   spilled and catches up from history (P27).
//
// The kernel is pure: no goroutine, clock or I/O. The driver (package watchmux)
// serializes calls, runs the feeds, reads history and drains the queues.
package merge
