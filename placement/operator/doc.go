// Package operator steps changes of ranges that take more than one operation.
//
//	plan ──Operator{kind, reason, steps}──> Set ──> Next(what is seen of the range, now)
//	                                                  │
//	      range <──RangeOp── driver <──send, wait, done, failed, timeout
//	        └───────status, answer──────────> Answered, Next
//
// A step is judged by the range's own descriptor and leader, never by what was
// sent: a step that is already true is skipped, one whose answer was lost is
// looked at again. The package is a kernel: no goroutines, clocks or I/O.
//
// Invariants:
//
//	I1  An operation is sent only if what is seen says that its step is not
//	    done; a change of replicas names the generation that was seen.
//	I2  The last voter that is known to be up to date keeps its vote until
//	    another one has caught up: a vote is given before one is taken, or in
//	    one change.
//	I3  A range is in at most one running operator.
//	I4  An operator ends: each step has a time limit, from its last progress.
//	I5  A range whose operator failed rests before the next of that class, for
//	    longer each time; one that was balanced rests, too.
package operator
