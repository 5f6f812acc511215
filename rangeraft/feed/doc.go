// Package feed is the event hub of one replica: it hands what apply wrote to
// whoever watches the range, each change once, and says up to where it is
// complete.
//
//	worker: apply -> Publish(index, events) --+--> ring (bounded, newest)
//	        closed -> Advance(closed) ------+ |
//	                                        v v
//	Subscribe(from) -- registers ------> Subscription --> Recv: events, checkpoint
//	                \- ring or engine scan at an applied index --^
//
// Invariants:
//
//	I1 A subscriber gets every change of its span with revision >= from once.
//	   Scan and live meet at an applied index, never at a revision (P24): the
//	   scan reads a view at index j, live batches at or below j are dropped.
//	I2 The ring serves `from` only if the highest revision it does not hold is
//	   below from (P24).
//	I3 A checkpoint follows every change at or below its closed revision (P22).
//	I4 Nobody holds apply back: a subscriber whose queue overflows is ended and
//	   resumes from its last checkpoint.
//	I5 A snapshot, a restart or a narrower span ends subscriptions, typed (P21,
//	   P23).
//
// The replica's worker calls Publish, Advance, Narrow and Reset; feed servers
// and local gateways call Subscribe. The package never talks to the engine by
// itself, starts no goroutine and reads no clock.
package feed
