// Package evaluator is the kernel of a range's leader: it turns the requests
// of one range into batches of effects under one term, and keeps the lock
// table, the read gate and the closed revision.
//
//	Submit --> queue --evaluate over State + overlay--> batch --Ask--> Granted --> bind
//	             ^          |                                                       |
//	             |          v aside: locked, lease unknown, history in flight       v
//	             +-- requeue in order of arrival                                 Propose
//	                                                                                |
//	AdmitRead --> gate: open ask, batches in flight, locks --> ReadReady            v
//	Answer <------------------ members, observers <-------------------------- Applied
//
// It owns: what is in flight (overlay, batches, the one open ask), who holds
// or waits for a lock, which leases are registered here, and what the range
// has promised to be closed. The replica drives it: inputs take note, Drain
// evaluates and returns actions.
//
// Invariants:
//
//	I1 At most one ask is open and at most one batch waits for its numbers; the
//	   next is evaluated when that one is proposed (P13).
//	I2 A batch's effects are in the overlay from its evaluation until its apply
//	   is visible, or until it is undone, newest first (P16, P12).
//	I3 A lock conflicts from the evaluation of its entry until the evaluation of
//	   its removal; it holds reads from apply to apply; it holds closed back
//	   until the entry that removes it (P20, P30).
//	I4 Evaluating a request leaves no trace unless it joins the batch.
//	I5 Every submitted request is answered once: when what it wrote or observed
//	   is applied, or with an error that says whether it may have an effect (P34).
//	I6 What is closed never goes back, except that an entry that was dropped
//	   never promised anything (P18).
//
// It has no goroutine, clock, I/O or logging; time comes by Tick, numbers by
// Granted, the applied state is read through State.
package evaluator
