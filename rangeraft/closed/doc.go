// Package closed carries the closed revisions of idle ranges from node to node
// as one number, however many ranges there are (P19).
//
//	leader's node                         replica's node
//	Enter(range, term, applied) --+
//	Leave(range) -----------------+-> Sender --ClosedUpdate--> Receiver --> Closed(range, applied)
//	Close(C) ---------------------+   one per peer stream, ordered
//
// Invariants:
//
//	I1 A range is in only with nothing in flight. It leaves before its next ask
//	   is sent: Leave is called first, and every later update carries the leave
//	   before a higher number.
//	I2 Close(C) holds only for ranges whose leader lease is valid at an instant
//	   after C was learned; others leave in the same step.
//	I3 A new stream starts empty on both sides.
//	I4 A replica believes a number for a range only if its applied index has
//	   reached the index at which the range entered, in the same term.
//	I5 What a replica believes of a range never falls.
//
// Both halves are pure: the driver serializes calls and moves the updates. An
// update costs what changed, not how many ranges are in; a replica's closed
// revision is worked out when asked for.
package closed
